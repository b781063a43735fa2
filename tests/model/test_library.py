import json
from pathlib import Path

import pytest

from app.errors import ManifestChanged, ModelError, NotPrepared, UnknownModel
from app.model.files import write_atomically
from app.model.labels import read_labels
from app.model.library import Library
from app.model.manifest import Manifest
from tests.dummy import MODELS
from tests.model.prepared import put_model

SHIPPED = Library(MODELS, MODELS)


@pytest.mark.parametrize("name", ["vgg16", "efficientnet_lite0"])
def test_shipped_manifests(name: str) -> None:
    manifest = SHIPPED.manifest(name)
    assert manifest.name == name
    assert SHIPPED.labels(manifest) == read_labels(MODELS / "labels" / "imagenet1k.csv")
    assert manifest.weights.sha256


def test_the_store_goes_before_what_came_with_the_service(tmp_path: Path) -> None:
    manifest = json.loads((MODELS / "vgg16" / "manifest.json").read_text()) | {"version": "mine"}
    (tmp_path / "vgg16").mkdir()
    (tmp_path / "vgg16" / "manifest.json").write_text(json.dumps(manifest))
    assert Library(MODELS, tmp_path).manifest("vgg16").version == "mine"


@pytest.mark.parametrize("name", ["nothing", "..", "../vgg16", "VGG16", "", "a/b"])
def test_there_is_no_such_model(name: str) -> None:
    with pytest.raises(UnknownModel):
        SHIPPED.manifest(name)


def test_a_label_file_that_is_not_there() -> None:
    manifest = SHIPPED.manifest("vgg16").model_copy(update={"labels": "nothing.csv"})
    with pytest.raises(ModelError, match="missing"):
        SHIPPED.labels(manifest)


def test_prepared_models_are_those_with_a_receipt(tmp_path: Path) -> None:
    for name in ("b", "a"):
        put_model(tmp_path, name)
    for name in ("half-made", ".previous"):
        put_model(tmp_path, name)
    (tmp_path / "half-made" / "receipt.json").unlink()
    library = Library(MODELS, tmp_path)
    assert library.prepared() == ["a", "b"]
    library.require_prepared("a")
    with pytest.raises(NotPrepared, match=r"have not been prepared yet(.|\n)*--from-file"):
        library.require_prepared("half-made")


def test_a_manifest_with_other_weights_or_another_mean_is_not_prepared(tmp_path: Path) -> None:
    manifest = put_model(tmp_path, "a")
    library = Library(MODELS, tmp_path)
    for fields, words in (
        ({"weights": {"source": "file:other.pth"}}, "names other weights"),
        ({"preprocessing": manifest.preprocessing.model_dump() | {"mean": (0, 0, 0)}}, "changed .*: preprocessing"),
    ):
        changed = Manifest.model_validate(manifest.model_dump() | fields)
        write_atomically(tmp_path / "a" / "manifest.json", changed)
        with pytest.raises(ManifestChanged, match=rf"{words}.*scripts/prepare_model\.py a"):
            library.require_prepared("a")


def test_a_store_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    put_model(tmp_path, "a")
    (tmp_path / "a" / "unavailable.json").mkdir()
    (tmp_path / "a" / "receipt.json").unlink()
    with pytest.raises(ModelError, match=r"a/unavailable\.json cannot be read"):
        Library(MODELS, tmp_path).require_prepared("a")
