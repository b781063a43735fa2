"""Where a model's weights come from, and the manifest of one that did not come with the service."""

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import torchvision
from torchvision.models import WeightsEnum, get_model_weights, get_weight

from app.errors import ModelError, WeightsUnavailable
from app.model.architectures import TORCHVISION_VGGS
from app.model.manifest import Manifest, Preprocessing, WeightsOrigin

IMAGENET_LABELS = "labels/imagenet1k.csv"
OTHER_WEIGHTS = "Other weights get a name of their own: --name NAME --architecture NAME --from-file FILE."
# torchvision publishes these for object detection; their classifier was never part of them.
UNUSABLE = {"IMAGENET1K_FEATURES": "vgg16_features-"}
UNUSABLE_REASON = (
    "IMAGENET1K_FEATURES is refused: that file has no classifier (its tensors are filled with NaN) and expects pixels "
    "in another scale. Use IMAGENET1K_V1."
)


def refuse_unusable(name: str) -> None:
    """Raise ``ModelError`` for weights that are known not to classify, by their torchvision or file name."""
    if any(enum in name or Path(name).name.startswith(prefix) for enum, prefix in UNUSABLE.items()):
        raise ModelError(UNUSABLE_REASON)


def torchvision_weights(source: str) -> WeightsEnum:
    """The entry of torchvision that ``torchvision:ENUM.MEMBER`` names."""
    refuse_unusable(source)
    try:
        return get_weight(source.removeprefix("torchvision:"))
    except (ValueError, KeyError) as error:  # another enum, another member
        raise ModelError(f"torchvision {torchvision.__version__} does not publish {source!r}.") from error


def published_prefix(source: str) -> str | None:
    """The digits of the digest that torchvision publishes with an origin's file: those in its address.

    What a supplied file is called says nothing: its own digest would vouch for anything.
    """
    if not source.startswith("torchvision:"):
        return None
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", torchvision_weights(source).url)
    return match.group(1) if match else None


def with_digest(manifest: Manifest, sha256: str) -> Manifest:
    """The manifest with a digest of the caller's own, which may not contradict the one that is known."""
    known = manifest.weights.sha256 or published_prefix(manifest.weights.source)
    if known and not sha256.startswith(known):
        raise ModelError(f"The file of {manifest.name!r} has the SHA-256 {known}, not {sha256}. {OTHER_WEIGHTS}")
    return manifest.model_copy(update={"weights": manifest.weights.model_copy(update={"sha256": sha256})})


def packaged_file(source: str) -> Path:
    """The file that ``package:MODULE/PATH`` names. Raises ``WeightsUnavailable`` when the package is not installed."""
    module, _, path = source.removeprefix("package:").partition("/")
    if find_spec(module) is None:
        raise WeightsUnavailable(f"the package {module.replace('_', '-')} is not installed (extra 'embedded').")
    return Path(str(files(module).joinpath(path)))


def published_manifest(architecture: str, weights: str = "IMAGENET1K_V1") -> Manifest:
    """A manifest for one of torchvision's published VGGs, from what torchvision says of it."""
    if architecture not in TORCHVISION_VGGS:
        raise ModelError(
            f"There is no model {architecture!r}. Published ones: {', '.join(TORCHVISION_VGGS)}. "
            "For weights of your own: scripts/prepare_model.py --name NAME --architecture NAME --from-file FILE."
        )
    source = f"torchvision:{get_model_weights(architecture).__name__}.{weights}"
    torchvision_weights(source)
    return Manifest(
        name=architecture,
        version=weights,
        architecture=architecture,
        preprocessing=torchvision_preprocessing(),
        temperature=1.0,
        labels=IMAGENET_LABELS,
        weights=WeightsOrigin(source=source, license="BSD-3-Clause"),
    )


def own_manifest(name: str, architecture: str, file: Path, labels: str) -> Manifest:
    """A manifest for somebody's own state dict, preprocessed as its architecture's published weights are."""
    refuse_unusable(file.name)
    return Manifest(
        name=name,
        version="1",
        architecture=architecture,
        preprocessing=_timm_preprocessing(architecture)
        if architecture.startswith("timm:")
        else torchvision_preprocessing(),
        temperature=1.0,
        labels=labels,
        weights=WeightsOrigin(source=f"file:{file.name}"),
    )


def torchvision_preprocessing() -> Preprocessing:
    """What torchvision's VGG weights were evaluated with (``IMAGENET1K_V1.transforms()``, the same for all of them)."""
    transforms = torchvision.models.VGG16_Weights.IMAGENET1K_V1.transforms()
    crop = transforms.crop_size[0]
    return Preprocessing(
        input_size=(3, crop, crop),
        resize=transforms.resize_size[0],
        crop=crop,
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )


def _timm_preprocessing(architecture: str) -> Preprocessing:
    import timm  # an extra: imported only when a model asks for it

    config = timm.get_pretrained_cfg(architecture.removeprefix("timm:"))
    if config is None:
        raise ModelError(f"timm does not say how to preprocess for {architecture!r}.")
    crop = config.input_size[1]
    return Preprocessing(
        input_size=(3, crop, crop),
        resize=int(crop / config.crop_pct),
        crop=crop,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
    )
