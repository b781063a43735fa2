"""Build the image and run what the compose file says, without Docker and without a registry. Needs root and Debian.

    scripts/check-image [--weights FILE] [--mirror URL] [--keep] [files] [image] [proxy] [monitoring]

    files       hadolint, the compose file's schema
    image       the Dockerfile built with buildah on a base made by debootstrap, run with runc: non-root, read-only,
                limits and mounts of the compose file; a 5 MB photograph classified, SIGTERM drained, exit 0
    proxy       haproxy with the deployed configuration before two of these containers: TLS, body limits, one replica
                replaced under load
    monitoring  Prometheus scrapes; every alert fires once by a real fault; every dashboard query returns data

All four by default. Not run by any of them: Grafana itself, the GPU reservation, Docker's own networks, ports, restart
policy, start order and health check timers, and a build with TORCH=cpu.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.errors import ModelError
from tests.system.deployment.container import Image, mounted, volume
from tests.system.deployment.image import build, describe, make_base, remove_image
from tests.system.deployment.lint import check_files
from tests.system.deployment.monitoring import check_monitoring
from tests.system.deployment.programs import CheckFailed, need, say
from tests.system.deployment.proxy import check_proxy
from tests.system.deployment.service import check_service, photograph_of_5_mb, prepare, untrained_weights

PROGRAMS = {
    "image": ("buildah runc debootstrap tini-static", "buildah runc debootstrap tini"),
    "proxy": ("haproxy dnsmasq openssl", "haproxy dnsmasq-base openssl"),
    "monitoring": ("prometheus promtool dnsmasq", "prometheus dnsmasq-base"),
}
CHECKS = ("files", *PROGRAMS)
TAG = "localhost/vgg16-service:checked"


def main() -> int:
    arguments = parse_arguments()
    chosen = arguments.check or list(CHECKS)
    if os.geteuid() != 0:
        sys.exit("scripts/check-image: needs root, to build images and to start containers")
    for check in [name for name in PROGRAMS if name in chosen or (name == "image" and "proxy" in chosen)]:
        programs, packages = PROGRAMS[check]
        need(programs.split(), packages)
    try:
        with tempfile.TemporaryDirectory(prefix="check-image-") as folder:
            if "files" in chosen:
                timed("files", lambda: check_files(Path(folder)))
            if {"image", "proxy"} & set(chosen):
                check_image(chosen, arguments, Path(folder))
            if "monitoring" in chosen:
                timed("monitoring", check_monitoring)
    except (CheckFailed, ModelError) as error:
        print(f"scripts/check-image: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/check-image", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "check", nargs="*", choices=[*CHECKS, []], metavar="CHECK", help=f"{', '.join(CHECKS)} (default: all of them)"
    )
    parser.add_argument("--weights", type=Path, help="a state dict of VGG16 (default: an untrained one)")
    parser.add_argument(
        "--mirror",
        metavar="URL",
        default="http://deb.debian.org/debian",
        help="a mirror of Debian (default: %(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help=f"keep the image, {TAG}, and use one that was kept")
    return parser.parse_args()


def timed(name: str, check: Callable[[], object]) -> None:
    began = time.monotonic()
    say(f"== {name}")
    check()
    say(f"== {name}: holds ({time.monotonic() - began:.0f} s)")


def check_image(chosen: list[str], arguments: argparse.Namespace, folder: Path) -> None:
    timed("base", lambda: make_base(arguments.mirror))
    timed("build", lambda: build(TAG, {}, anew=not arguments.keep))
    try:
        with mounted(TAG) as image:
            run_image(image, chosen, arguments.weights or untrained_weights(folder), folder)
    finally:
        if not arguments.keep:
            remove_image(TAG)


def run_image(image: Image, chosen: list[str], weights: Path, folder: Path) -> None:
    for part, megabytes in describe(image.root):
        say(f"{megabytes:6d} MB  {part}")
    store, empty = volume(folder / "store", image), volume(folder / "empty", image)
    folder.chmod(0o755)
    photograph = photograph_of_5_mb()
    timed("prepare", lambda: prepare(image, store, weights))
    if "image" in chosen:
        timed("service", lambda: check_service(image, store, empty, photograph))
    if "proxy" in chosen:
        timed("proxy", lambda: check_proxy(image, store, photograph, folder))


if __name__ == "__main__":
    sys.exit(main())
