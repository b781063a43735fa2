import json
from pathlib import Path

import pytest

from app.errors import ManifestInvalid, ModelError
from app.model.manifest import read_manifest
from tests.dummy import MODELS

SHIPPED = json.loads((MODELS / "vgg16" / "manifest.json").read_text())


def write(folder: Path, content: object, name: str = "vgg16") -> Path:
    path = folder / name / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


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


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b"[" * 100_000], ids=["cut off", "no text", "too deep"])
def test_a_manifest_that_is_not_json(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "")
    path.write_bytes(content)
    with pytest.raises(ManifestInvalid, match="not JSON"):
        read_manifest(path)


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="is not a file"):
        read_manifest(tmp_path)
