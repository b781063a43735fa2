import json
from pathlib import Path

import pytest

from app.errors import ModelError, UnknownModel
from app.model.labels import read_labels
from app.model.library import Library
from tests.dummy import MODELS

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
    for name in ("b", "a", "half-made"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").touch()
    for name in ("b", "a"):
        (tmp_path / name / "receipt.json").write_text("{}")
    library = Library(MODELS, tmp_path)
    assert library.prepared() == ["a", "b"]
    library.require_prepared("a")
    with pytest.raises(ModelError, match=r"have not been prepared yet(.|\n)*--from-file"):
        library.require_prepared("half-made")
