"""Which engine is chosen, with times that are given; and once for real, on a VGG11."""

from pathlib import Path

import pytest

from app.model.engines import ENGINES, is_installed
from app.model.library import Library
from app.model.network import processor_kind
from app.preparing.engine import Times, fastest, has_choice, is_measured, measure_engine
from app.settings import Settings
from tests.model.vgg import put_vgg_and_tuned


@pytest.mark.parametrize(
    ("times", "engine"),
    [
        ({"eager": {1: 1.0, 4: 4.0}}, "eager"),
        ({"eager": {1: 1.0, 4: 4.0}, "winograd": {1: 0.7, 4: 2.8}, "ncnn": {1: 0.5, 4: 2.0}}, "ncnn"),
        ({"eager": {1: 1.0, 4: 4.0}, "winograd": {1: 0.7, 4: 2.8}, "ncnn": {1: 0.4, 4: 4.1}}, "winograd"),
        ({"eager": {1: 1.0, 4: 4.0}, "winograd": {1: 0.97, 4: 2.0}}, "eager"),
    ],
)
def test_the_fastest_is_never_slower_than_eager(times: Times, engine: str) -> None:
    assert fastest(times) == engine


def test_engines_are_measured_once_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vgg_and_tuned(tmp_path)
    settings, said = Settings(store_dir=tmp_path, device="cpu", precision="fp32"), list[str]()
    library = Library.from_settings(settings)
    manifest = library.manifest("vgg")
    assert has_choice(manifest, settings)
    assert not is_measured(manifest, settings)
    assert not has_choice(manifest, settings.model_copy(update={"cpu_engine": "winograd"}))
    assert not has_choice(manifest, settings.model_copy(update={"precision": "bf16"}))
    assert not has_choice(Library.from_settings(Settings()).manifest("efficientnet_lite0"), settings)
    monkeypatch.setattr("app.preparing.engine.TURNS", 2)
    engine = measure_engine(manifest, settings, said.append)
    assert is_measured(manifest, settings)
    assert library.store("vgg").read_receipt().best_engine == {processor_kind(): engine}
    assert f"taking {engine}" in said[-1]
    assert all(f"{one} 1: " in said[-1] for one in filter(is_installed, ENGINES))


def test_an_engine_that_answers_otherwise_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vgg_and_tuned(tmp_path)
    settings, said = Settings(store_dir=tmp_path, device="cpu", precision="fp32"), list[str]()
    monkeypatch.setattr("app.model.engine_choice.disagreement", lambda *_: "it is Tuesday")
    monkeypatch.setattr("app.preparing.engine.TURNS", 2)
    assert measure_engine(Library.from_settings(settings).manifest("vgg"), settings, said.append) == "eager"
    assert "winograd does not answer as eager does: it is Tuesday." in said
