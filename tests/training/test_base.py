from pathlib import Path

import pytest
import torch

from app.errors import ModelError
from app.model.manifest import Base
from app.model.store import ModelStore
from app.settings import Settings
from app.training.base import read_base
from app.training.export import export
from tests.training.conftest import BASE

CHILD = "child"


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """The small network, and an export of it whose head's bias differs."""
    settings = Settings(store_dir=store)
    base = read_base(BASE, CHILD, settings)
    staged = tmp_path / "staged"
    staged.mkdir()
    manifest = base.manifest.model_copy(update={"name": CHILD, "base": base.root})
    export(store, manifest, {"head.bias": torch.full((1000,), 7.0)}, staged)
    return settings


def test_a_prepared_model_is_its_own_root(settings: Settings) -> None:
    base = read_base(BASE, "new", settings)
    digest = ModelStore(settings.store_dir, BASE).read_receipt().weights_sha256
    assert base.root == Base(model=BASE, weights_sha256=digest)
    assert base.tensors.keys() == base.root_tensors.keys()
    assert len(base.labels) == len(base.tensors["head.bias"]) == 1000


def test_an_export_stands_on_its_root_with_its_own_tensors(settings: Settings) -> None:
    base = read_base(CHILD, "new", settings)
    assert base.root.model == BASE
    assert torch.equal(base.tensors["head.bias"], torch.full((1000,), 7.0))
    assert torch.equal(base.tensors["head.weight"], base.root_tensors["head.weight"])
    assert not torch.equal(base.tensors["head.bias"], base.root_tensors["head.bias"])


@pytest.mark.parametrize("name", [BASE, CHILD])
def test_a_model_cannot_replace_what_it_stands_on(settings: Settings, name: str) -> None:
    with pytest.raises(ModelError, match=f"--name {name} is the base itself"):
        read_base(CHILD, name, settings)


def test_a_base_must_be_prepared(settings: Settings) -> None:
    ModelStore(settings.store_dir, BASE).receipt.unlink()
    with pytest.raises(ModelError, match="not been prepared"):
        read_base("vgg16", "new", settings)
    with pytest.raises(ModelError, match=r"trained from 'tiny'.*not prepared"):
        read_base(CHILD, "new", settings)
