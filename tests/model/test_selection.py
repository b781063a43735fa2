import logging
from pathlib import Path

import pytest

from app.errors import ModelError
from app.model.files import write_atomically
from app.model.selection import select_models
from app.model.store import ModelStore, Unavailable
from app.settings import Settings
from tests.running import settings


def configured(store: Path, *prepared: str, **changes: object) -> Settings:
    for name in prepared:
        folder = ModelStore(store, name)
        folder.folder.mkdir()
        folder.weights.touch()
        folder.receipt.touch()
    return settings(store_dir=store, **changes)


def test_every_prepared_model_is_served_and_the_default_is_loaded_first(tmp_path: Path) -> None:
    selection = select_models(configured(tmp_path, "a", "vgg16", "z"))
    assert selection.names == ("vgg16", "a", "z")
    assert selection.fallback_for is None


def test_only_the_models_asked_for(tmp_path: Path) -> None:
    selection = select_models(configured(tmp_path, "a", "vgg16", "z", models="z"))
    assert selection.names == ("vgg16", "z")


def test_the_fallback_takes_the_place_of_the_default_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore(tmp_path, "vgg16")
    write_atomically(store.unavailable, Unavailable.model_validate({"reason": "no network", "tried_at": "2026-01-01"}))
    with caplog.at_level(logging.WARNING):
        selection = select_models(configured(tmp_path, "small", fallback_model="small"))
    assert selection.default == "small"
    assert selection.fallback_for == "vgg16"
    assert "small instead of vgg16" in caplog.text
    assert "no network" in caplog.text


def test_without_a_fallback_the_service_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--from-file"):
        select_models(configured(tmp_path, "small"))


def test_a_fallback_that_is_not_prepared_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="small"):
        select_models(configured(tmp_path, fallback_model="small"))


def test_other_models_are_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        select_models(configured(tmp_path, "vgg16", "small", models="missing", fallback_model="small"))


def test_weights_without_a_receipt_are_not_prepared(tmp_path: Path) -> None:
    changed = configured(tmp_path, "vgg16")
    ModelStore(tmp_path, "vgg16").receipt.unlink()
    with pytest.raises(ModelError):
        select_models(changed)
