from pathlib import Path

import pytest
import torch

from app.errors import ModelError
from app.model.library import Library
from app.model.manifest import Base
from app.training.base import read_base
from app.training.export import export
from tests.running import ROOT
from tests.training.conftest import BASE

CHILD = "child"


@pytest.fixture
def library(store: Path, tmp_path: Path) -> Library:
    """The small network, and an export of it whose head's bias differs."""
    library = Library(ROOT / "models", store)
    base = read_base(BASE, CHILD, library)
    staged = tmp_path / "staged"
    staged.mkdir()
    manifest = base.manifest.model_copy(update={"name": CHILD, "base": base.root})
    export(library.store(CHILD), manifest, base.labels, {"head.bias": torch.full((1000,), 7.0)}, staged)
    return library


def test_a_prepared_model_is_its_own_root(library: Library) -> None:
    base = read_base(BASE, "new", library)
    digest = library.store(BASE).read_receipt().weights_sha256
    assert base.root == Base(model=BASE, weights_sha256=digest)
    assert base.tensors.keys() == base.root_tensors.keys()
    assert len(base.labels) == len(base.tensors["head.bias"]) == 1000


def test_an_export_stands_on_its_root_with_its_own_tensors(library: Library) -> None:
    base = read_base(CHILD, "new", library)
    assert base.root is not None
    assert base.root.model == BASE
    assert torch.equal(base.tensors["head.bias"], torch.full((1000,), 7.0))
    assert torch.equal(base.tensors["head.weight"], base.root_tensors["head.weight"])
    assert not torch.equal(base.tensors["head.bias"], base.root_tensors["head.bias"])


@pytest.mark.parametrize("name", [BASE, CHILD])
def test_a_model_cannot_replace_what_it_stands_on(library: Library, name: str) -> None:
    with pytest.raises(ModelError, match=f"--name {name} is the base itself"):
        read_base(CHILD, name, library)


def test_a_base_must_be_prepared(library: Library) -> None:
    library.store(BASE).receipt.unlink()
    with pytest.raises(ModelError, match="not been prepared"):
        read_base("vgg16", "new", library)
    with pytest.raises(ModelError, match=r"trained from 'tiny'.*not prepared"):
        read_base(CHILD, "new", library)
