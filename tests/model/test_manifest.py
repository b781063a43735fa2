import json
from pathlib import Path

import pytest

from app.errors import ModelError, UnknownModel
from app.model.manifest import find_manifest, labels_path, read_manifest
from tests.dummy import MODELS

SHIPPED = json.loads((MODELS / "vgg16" / "manifest.json").read_text())


def write(folder: Path, content: object, name: str = "vgg16") -> Path:
    path = folder / name / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("name", ["vgg16", "efficientnet_lite0"])
def test_shipped_manifests(name: str) -> None:
    manifest = find_manifest(name, MODELS, MODELS)
    assert manifest.name == name
    assert labels_path(manifest, MODELS, MODELS) == MODELS / "labels" / "imagenet1k.csv"
    assert manifest.weights.sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0}, "temperature"),
        ({"surprise": 1}, "surprise"),
        ({"preprocessing": SHIPPED["preprocessing"] | {"resize": 100}}, "resize must not be smaller"),
        ({"preprocessing": SHIPPED["preprocessing"] | {"crop": 200}}, "input_size must be"),
        ({"preprocessing": SHIPPED["preprocessing"] | {"std": [0, 1, 1]}}, "std"),
        ({"preprocessing": SHIPPED["preprocessing"] | {"interpolation": "nearest"}}, "interpolation"),
        ({"weights": {"source": "ftp://somewhere"}}, "source"),
        ({"labels": "../secret.csv"}, "must stay inside"),
        ({"labels": "/etc/passwd"}, "must stay inside"),
        ({"name": "other"}, "folder of its model's name"),
    ],
)
def test_a_faulty_manifest_is_named_with_its_fault(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = write(tmp_path, SHIPPED | change)
    with pytest.raises(ModelError, match=words) as error:
        read_manifest(path)
    assert str(path) in str(error.value)


def test_a_manifest_that_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not JSON"):
        read_manifest(write(tmp_path, "{"))


def test_the_store_goes_before_what_came_with_the_service(tmp_path: Path) -> None:
    write(tmp_path, SHIPPED | {"version": "mine"})
    assert find_manifest("vgg16", MODELS, tmp_path).version == "mine"


@pytest.mark.parametrize("name", ["nothing", "..", "../vgg16", "VGG16", "", "a/b"])
def test_there_is_no_such_model(name: str) -> None:
    with pytest.raises(UnknownModel):
        find_manifest(name, MODELS, MODELS)


def test_a_label_file_that_is_not_there() -> None:
    manifest = find_manifest("vgg16", MODELS, MODELS).model_copy(update={"labels": "nothing.csv"})
    with pytest.raises(ModelError, match="missing"):
        labels_path(manifest, MODELS, MODELS)
