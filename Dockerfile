# The service in an image. Weights are not in it: they lie in a volume under /store (see docker-compose.yml).
#
#   docker build -t vgg16-service:gpu .                         torch with CUDA's libraries
#   docker build -t vgg16-service:cpu --build-arg TORCH=cpu .   without, from PyTorch's own index
#   docker build -t vgg16-service:check-gpu --target check-gpu .   the first, with what scripts/check-gpu needs
#
# A release adds --build-arg VERSION=… (as in pyproject.toml) and REVISION=… (the commit) for the image's labels.
#
# Debian 12 carries Python 3.11, one of those that the project is tested on. CUDA comes with torch's wheels, so
# the base needs nothing of it.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008  # Debian takes a version away when it publishes its security fix: a pinned one stops building
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml requirements.lock ./
COPY scripts/install scripts/
# Extras of pyproject.toml. `gpu` accounts for the device; `embedded` serves timm's architectures as well;
# `ncnn` is for CPUs.
ARG EXTRAS=gpu
# `cuda` or `cpu`: no device is seen while an image is built. TORCH_INDEX_URL is another address for `cpu`.
ARG TORCH=cuda
ARG TORCH_INDEX_URL
# Installed, checked by importing what the service imports, and freed of what only building and compiling need: triton
# (torch.compile), headers, pip. Bytecode is written here, the root file system is read-only later.
RUN scripts/install "--${TORCH}" --extras "${EXTRAS}" \
    && .venv/bin/python -m pip uninstall --yes triton setuptools pip \
    && find .venv -type d -name include -prune -exec rm -rf {} + \
    && .venv/bin/python -c 'import torch, torchvision.models, torchvision.transforms.v2'
COPY app app
COPY scripts/interpreter.py scripts/prepare_model.py scripts/
RUN .venv/bin/python -m compileall -q --invalidation-mode unchecked-hash app scripts && rm scripts/install
COPY models models

FROM build AS build-check-gpu
ARG TORCH=cuda
ARG TORCH_INDEX_URL
COPY scripts/install scripts/
RUN .venv/bin/python -m ensurepip \
    && scripts/install "--${TORCH}" --extras embedded,check-gpu \
    && .venv/bin/python -m pip uninstall --yes triton setuptools pip \
    && rm scripts/install
COPY tests tests

FROM ${BASE} AS service
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vgg16-service" \
      org.opencontainers.image.description="VGG16 image classification over HTTP" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008  # as above
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 vgg \
    && useradd --uid 10001 --gid vgg --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vgg \
    && install --directory --owner vgg --group vgg /store
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    VGG_HOST=0.0.0.0 \
    VGG_STORE_DIR=/store
USER 10001:10001
VOLUME /store
EXPOSE 8000
# Unready at once on SIGTERM, gone after VGG_DRAIN_DELAY_S + VGG_DRAIN_TIMEOUT_S at most: `docker stop --time 45`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["python", "-m", "app.server.healthcheck"]
ENTRYPOINT ["python", "-m", "app"]

# What scripts/check-gpu runs: the service, and what measures it.
FROM service AS check-gpu
COPY --from=build-check-gpu /app /app
ENV HOME=/tmp
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "tests.system.gpu"]

# What is built where no target is named.
FROM service
