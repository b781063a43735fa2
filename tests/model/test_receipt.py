"""What a receipt vouches for: these weights, for this manifest."""

import json
from pathlib import Path

import pytest

from app.errors import ManifestChanged
from app.model.labels import Label
from app.model.manifest import Manifest
from app.model.receipt import RENEWABLE, Receipt, meaning_of
from app.model.store import ModelStore
from tests.model.prepared import LABELS, put_model

SHIPPED = {"source": "torchvision:VGG16_Weights.IMAGENET1K_V1", "sha256": "3" * 64}


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Manifest, Receipt]:
    manifest = put_model(tmp_path, "net", weights=SHIPPED)
    return manifest, ModelStore(tmp_path, "net").read_receipt()


def other(manifest: Manifest, **fields: object) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | fields)


def renamed(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    first, *others = labels
    return (Label(0, first.wnid, "another translation", first.label_zh, (), ()), *others)


def test_what_decides_nothing_may_change(prepared: tuple[Manifest, Receipt]) -> None:
    manifest, receipt = prepared
    receipt.check(manifest, LABELS)
    weights = SHIPPED | {"license": "another", "size_bytes": 7}
    receipt.check(other(manifest, name="other", labels="elsewhere.csv", weights=weights), renamed(LABELS))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "IMAGENET1K_V2"}, "version"),
        ({"architecture": "vgg16_bn"}, "architecture"),
        ({"temperature": 2.0}, "temperature"),
        ({"base": {"model": "vgg16", "weights_sha256": "0" * 64}}, "base"),
        ({"training": {"split_sha256": "0" * 64, "metrics": {}}}, "training"),
        ({"weights": SHIPPED | {"tensor_names": "by_position"}}, "tensor_names"),
    ],
)
def test_what_decides_what_the_weights_mean_is_named(
    prepared: tuple[Manifest, Receipt], fields: dict[str, object], said: str
) -> None:
    manifest, receipt = prepared
    command = "net" if said in RENEWABLE else "net --force"
    with pytest.raises(ManifestChanged, match=rf"'net' has changed .*: {said}\. .*prepare_model\.py {command}\.?$"):
        receipt.check(other(manifest, **fields), LABELS)


@pytest.mark.parametrize("channel", ["mean", "std"])
def test_another_mean_or_std_is_a_difference(prepared: tuple[Manifest, Receipt], channel: str) -> None:
    manifest, receipt = prepared
    preprocessing = manifest.preprocessing.model_dump() | {channel: (0.5, 0.5, 0.5)}
    assert receipt.changed(other(manifest, preprocessing=preprocessing), LABELS) == {"preprocessing"}


def test_two_classes_that_are_swapped_are_a_difference(prepared: tuple[Manifest, Receipt]) -> None:
    manifest, receipt = prepared
    assert receipt.changed(manifest, (LABELS[1], LABELS[0], *LABELS[2:])) == {"classes"}


@pytest.mark.parametrize(
    "weights", [SHIPPED | {"sha256": "4" * 64}, {"source": "torchvision:VGG16_Weights.IMAGENET1K_V2"}]
)
def test_other_weights_are_named_with_the_command_that_gets_them(
    prepared: tuple[Manifest, Receipt], weights: dict[str, str]
) -> None:
    manifest, receipt = prepared
    with pytest.raises(ManifestChanged, match=r"names other weights.*3333.*scripts/prepare_model\.py net"):
        receipt.check(other(manifest, weights=weights), LABELS)


def test_an_export_says_how_it_is_made_or_installed_again(prepared: tuple[Manifest, Receipt]) -> None:
    manifest, receipt = prepared
    trained = receipt.model_copy(update={"source": "training:pets", "source_sha256": "5" * 64})
    with pytest.raises(ManifestChanged, match=r"scripts/finetune\.py --name net .*--install DIR"):
        trained.check(other(manifest, weights={"source": "training:others"}), LABELS)


def test_a_receipt_of_the_first_version_is_taken_by_its_source(prepared: tuple[Manifest, Receipt]) -> None:
    """Its manifest is not known, but the file it was made from is."""
    manifest, receipt = prepared
    content = json.loads(receipt.model_dump_json(exclude={"manifest_sha256"}))
    old = Receipt.model_validate(content)
    old.check(other(manifest, temperature=2.0), LABELS)
    with pytest.raises(ManifestChanged, match="names other weights"):
        old.check(other(manifest, weights=SHIPPED | {"sha256": "4" * 64}), LABELS)


def test_a_receipt_of_a_later_version_can_be_read(prepared: tuple[Manifest, Receipt]) -> None:
    _, receipt = prepared
    assert Receipt.model_validate(receipt.model_dump() | {"surprise": 1}) == receipt


def test_a_default_that_is_written_out_is_no_difference(prepared: tuple[Manifest, Receipt]) -> None:
    manifest, _ = prepared
    assert meaning_of(other(manifest, temperature=1, base=None), LABELS) == meaning_of(manifest, LABELS)


def test_another_threshold_is_a_difference_and_none_is_what_older_receipts_know(
    prepared: tuple[Manifest, Receipt],
) -> None:
    manifest, receipt = prepared
    assert "known" not in receipt.manifest_sha256
    known = {"threshold": 0.5, "coverage": 0.9, "risk": 0.1}
    fitted = other(manifest, known=known)
    assert receipt.changed(fitted, LABELS) == {"known"}
    tied = receipt.model_copy(update={"manifest_sha256": meaning_of(fitted, LABELS)})
    tied.check(fitted, LABELS)
    assert tied.changed(other(fitted, known=known | {"threshold": 0.6}), LABELS) == {"known"}
