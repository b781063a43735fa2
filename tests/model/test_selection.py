import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import ManifestChanged, ModelError
from app.model.files import write_atomically
from app.model.selection import select_models
from app.model.store import ModelStore, Unavailable
from app.settings import Settings
from tests.model.prepared import put_model
from tests.running import settings


def configured(store: Path, *prepared: str, **changes: object) -> Settings:
    for name in prepared:
        put_model(store, name)
    return settings(store_dir=store, **changes)


def test_every_prepared_model_is_served_and_the_default_is_loaded_first(tmp_path: Path) -> None:
    selection = select_models(configured(tmp_path, "a", "vgg16", "z"))
    assert selection.names == ("vgg16", "a", "z")
    assert selection.optional == {"a", "z"}
    assert selection.fallback_for is None
    assert not selection.unavailable


def test_only_the_models_asked_for(tmp_path: Path) -> None:
    configured(tmp_path, "odd")
    (tmp_path / "odd" / "manifest.json").write_text("{")
    selection = select_models(configured(tmp_path, "a", "vgg16", "z", models="z"))
    assert selection.names == ("vgg16", "z")
    assert not selection.optional
    assert not selection.unavailable


def test_the_fallback_takes_the_place_of_the_default_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore(tmp_path, "vgg16")
    write_atomically(store.unavailable, Unavailable.model_validate({"reason": "no network", "tried_at": "2026-01-01"}))
    with caplog.at_level(logging.WARNING):
        selection = select_models(configured(tmp_path, "small", fallback_model="small"))
    assert selection.default == "small"
    assert selection.fallback_for == "vgg16"
    assert selection.unavailable == {"vgg16": "It is not prepared."}
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


def break_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff")


def change_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.485", "0.5"), encoding="utf-8")


BREAKS: dict[str, Callable[[Path], object]] = {
    "It is not prepared.": lambda folder: (folder / "weights.safetensors").unlink(),
    "It has no manifest.": lambda folder: (folder / "manifest.json").unlink(),
    "Its manifest is not valid.": break_manifest,
    "It was prepared for another manifest than it has now.": change_manifest,
    "Its weights or their receipt are damaged.": lambda folder: (folder / "receipt.json").write_text("{"),
    "It cannot be loaded; the service's log says why.": lambda folder: (folder / "labels").mkdir(),
}


@pytest.mark.parametrize("reason", BREAKS)
def test_a_model_that_nobody_asked_for_stops_nothing(
    tmp_path: Path, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = configured(tmp_path, "vgg16", "z")
    put_model(tmp_path, "odd", labels="labels" if "log says why" in reason else "labels/imagenet1k.csv")
    BREAKS[reason](tmp_path / "odd")
    selection = select_models(settings)
    assert selection.names == ("vgg16", "z")
    assert selection.unavailable == {"odd": reason}
    assert "Not serving odd, which nobody asked for by name: " in caplog.text


def test_a_copy_of_a_folder_stops_nothing(tmp_path: Path) -> None:
    settings = configured(tmp_path, "vgg16")
    for copy in ("vgg16.bak", "vgg16 (old)"):
        shutil.copytree(tmp_path / "vgg16", tmp_path / copy)
    shutil.copytree(tmp_path / "vgg16", tmp_path / ".hidden")
    selection = select_models(settings)
    assert selection.names == ("vgg16",)
    assert selection.unavailable == {
        "vgg16.bak": "Its manifest is not valid.",
        "vgg16 (old)": "It has no manifest.",
    }


@pytest.mark.parametrize("asked", [{"model": "odd"}, {"models": "odd"}, {"model": "none", "fallback_model": "odd"}])
def test_a_model_that_was_asked_for_by_name_is_served_or_the_service_does_not_start(
    tmp_path: Path, asked: dict[str, str]
) -> None:
    settings = configured(tmp_path, "vgg16", "odd", **asked)
    change_manifest(tmp_path / "odd")
    with pytest.raises(ManifestChanged, match=r"scripts/prepare_model\.py odd"):
        select_models(settings)


def test_a_default_of_another_manifest_may_be_replaced_by_the_fallback(tmp_path: Path) -> None:
    settings = configured(tmp_path, "vgg16", "small", fallback_model="small")
    change_manifest(tmp_path / "vgg16")
    selection = select_models(settings)
    assert selection.names == ("small",)
    assert selection.fallback_for == "vgg16"
    assert selection.unavailable == {"vgg16": "It was prepared for another manifest than it has now."}
