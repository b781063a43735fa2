"""Where weights come from, and what manifests are made of it."""

from pathlib import Path

import pytest

from app.errors import ModelError, WeightsUnavailable
from app.model.architectures import TORCHVISION_VGGS
from app.model.manifest import read_manifest
from app.preparing.origin import (
    IMAGENET_LABELS,
    own_manifest,
    packaged_file,
    published_manifest,
    published_prefix,
    refuse_unusable,
    torchvision_weights,
    with_digest,
)
from tests.dummy import MODELS


def test_the_shipped_vgg16_is_what_torchvision_publishes() -> None:
    shipped, published = read_manifest(MODELS / "vgg16" / "manifest.json"), published_manifest("vgg16")
    for field in ("name", "version", "architecture", "preprocessing", "labels", "temperature"):
        assert getattr(shipped, field) == getattr(published, field), field
    assert shipped.weights.source == published.weights.source
    prefix = published_prefix(published.weights.source)
    assert prefix
    assert shipped.weights.sha256
    assert shipped.weights.sha256.startswith(prefix)


@pytest.mark.parametrize("architecture", ["vgg11", "vgg13_bn", "vgg19"])
def test_every_vgg_of_torchvision_can_be_had(architecture: str) -> None:
    manifest = published_manifest(architecture)
    assert manifest.name == manifest.architecture == architecture
    assert torchvision_weights(manifest.weights.source).url.endswith(".pth")


def test_what_torchvision_does_not_publish() -> None:
    with pytest.raises(ModelError, match=r"no model 'resnet50'.*vgg16.*--from-file"):
        published_manifest("resnet50")
    with pytest.raises(ModelError, match="does not publish"):
        torchvision_weights("torchvision:VGG16_Weights.NOTHING")
    with pytest.raises(ModelError, match="does not publish"):
        published_manifest("vgg11", "IMAGENET1K_V7")


def test_weights_without_a_classifier_are_refused_by_either_name() -> None:
    for name in (
        "IMAGENET1K_FEATURES",
        "torchvision:VGG16_Weights.IMAGENET1K_FEATURES",
        "vgg16_features-amdegroot.pth",
    ):
        with pytest.raises(ModelError, match="has no classifier"):
            refuse_unusable(name)
    refuse_unusable("vgg16-397923af.pth")


@pytest.mark.parametrize("architecture", TORCHVISION_VGGS)
def test_the_published_digits_are_those_of_torchvisions_address(architecture: str) -> None:
    source = published_manifest(architecture).weights.source
    prefix = published_prefix(source)
    assert prefix
    assert torchvision_weights(source).url.endswith(f"/{architecture}-{prefix}.pth")


@pytest.mark.parametrize("source", ["file:vgg16-397923af.pth", "package:x/vgg16-397923af.pth", "training:a-397923af.b"])
def test_a_files_own_name_publishes_nothing(source: str) -> None:
    assert published_prefix(source) is None


def test_a_digest_of_ones_own_may_not_contradict_the_known_one() -> None:
    shipped, published = read_manifest(MODELS / "vgg16" / "manifest.json"), published_manifest("vgg11")
    own = own_manifest("mine", "vgg11", Path("net.pth"), IMAGENET_LABELS)
    assert with_digest(own, "0" * 64).weights.sha256 == "0" * 64
    whole = f"{published_prefix(published.weights.source)}{'0' * 56}"
    assert with_digest(published, whole).weights.sha256 == whole
    for manifest in (shipped, published):
        with pytest.raises(ModelError, match=r"has the SHA-256 .*--name NAME"):
            with_digest(manifest, "0" * 64)


def test_ones_own_weights_are_preprocessed_as_the_architectures_published_ones() -> None:
    vgg = own_manifest("mine", "vgg19_bn", Path("folder/net.pth"), "labels.csv")
    assert vgg.preprocessing == published_manifest("vgg19_bn").preprocessing
    assert (vgg.name, vgg.labels, vgg.weights.source) == ("mine", "labels.csv", "file:net.pth")
    timm = own_manifest("mine", "timm:tf_efficientnet_lite0", Path("net.pth"), IMAGENET_LABELS)
    shipped = read_manifest(MODELS / "efficientnet_lite0" / "manifest.json")
    assert timm.preprocessing == shipped.preprocessing
    with pytest.raises(ModelError, match="timm does not say"):
        own_manifest("mine", "timm:no_such_network", Path("net.pth"), IMAGENET_LABELS)


def test_a_file_of_a_package() -> None:
    source = read_manifest(MODELS / "efficientnet_lite0" / "manifest.json").weights.source
    assert packaged_file(source).is_file()
    with pytest.raises(WeightsUnavailable, match="no-such-package is not installed"):
        packaged_file("package:no_such_package/weights.pth")
