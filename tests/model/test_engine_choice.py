"""Which engine a model gets, with a VGG11 and a model fine-tuned from it."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from app.errors import ModelError
from app.model import sharing
from app.model.engine_choice import trunk_of, wanted_engine
from app.model.engines import ENGINES, Engine, is_installed
from app.model.files import write_atomically
from app.model.load import load_model
from app.model.network import TorchNetwork, processor_kind
from app.model.receipt import Receipt
from app.model.store import ModelStore
from tests.model.vgg import put_vgg_and_tuned
from tests.pictures import photograph
from tests.running import settings

OTHERS = [engine for engine in ENGINES if engine != "eager" and is_installed(engine)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    put_vgg_and_tuned(folder)
    return folder


def load(store: Path, name: str, **changes: object) -> tuple[TorchNetwork, str]:
    model = load_model(name, settings(store_dir=store, device="cpu", max_batch_size=1, **changes))
    assert isinstance(model.network, TorchNetwork)
    return model.network, model.engine


def note(store: Path, name: str, engine: str | None) -> None:
    """As if it had been measured."""
    place = ModelStore(store, name)
    known = {processor_kind(): engine} if engine else {}
    write_atomically(place.receipt, place.read_receipt().model_copy(update={"best_engine": known}))


@pytest.mark.parametrize("engine", OTHERS)
def test_a_head_beside_its_base_shares_the_trunk_and_answers_the_same(store: Path, engine: Engine) -> None:
    held = len(sharing._trunks)
    (base, base_engine), (tuned, tuned_engine) = (load(store, name, cpu_engine=engine) for name in ("vgg", "tuned"))
    assert (base_engine, tuned_engine) == (engine, engine)
    assert trunk_of(base) is trunk_of(tuned)
    for network in (base, tuned):
        assert network.tensors is not None
        assert not any(name.startswith("features.") for name in network.tensors)  # transformed once, kept once
    exact, _ = load(store, "tuned", cpu_engine="eager")
    pixels = np.stack([np.asarray(photograph(name).resize((224, 224))) for name in ("chelsea", "coffee")])
    ours, theirs = (torch.softmax(network.logits(pixels), 1) for network in (exact, tuned))
    assert (ours - theirs).abs().max() < 1e-4
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    del base, tuned, network
    gc.collect()
    assert len(sharing._trunks) == held


def test_what_was_measured_is_taken_and_the_base_speaks_for_its_heads(store: Path) -> None:
    assert load(store, "vgg")[1] == "eager"  # not measured
    note(store, "vgg", "winograd")
    assert load(store, "vgg")[1] == load(store, "tuned")[1] == "winograd"
    assert load(store, "vgg", precision="bf16")[1] == "eager"
    assert load(store, "vgg", cpu_engine="eager")[1] == "eager"
    note(store, "tuned", "eager")
    assert load(store, "tuned")[1] == "eager"
    note(store, "vgg", None)
    note(store, "tuned", None)


def test_an_engine_that_answers_otherwise_is_not_taken(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from app.model import engine_choice

    def broken(layers: torch.nn.Sequential, engine: Engine) -> torch.nn.Sequential:
        return torch.nn.Sequential(*layers, torch.nn.Dropout2d(1).train())  # all zeros

    monkeypatch.setattr(engine_choice, "with_engine", broken)
    network, engine = load(store, "vgg", cpu_engine="winograd")
    assert engine == "eager"
    assert len(trunk_of(network)) == 21  # its own again
    assert "vgg: winograd is not used as its engine, since" in caplog.text


def test_an_engine_that_does_not_run_is_not_taken(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)  # as if a library that it is linked with were missing
    monkeypatch.setattr("app.model.engine_choice.is_installed", lambda _: True)
    assert load(store, "vgg", cpu_engine="ncnn")[1] == "eager"
    assert "vgg: ncnn is not used as its engine, since ncnn cannot be imported" in caplog.text


def receipt(**best: str) -> Receipt:
    empty = {"source": "", "source_sha256": "", "source_size_bytes": 0, "source_check": "none", "weights_sha256": "",
             "weights_size_bytes": 0, "prepared_at": "2026-01-01T00:00:00Z", "torch_version": "2"}  # fmt: skip
    return Receipt.model_validate(empty | {"best_engine": best})


def test_another_machines_measurement_says_nothing() -> None:
    assert wanted_engine("auto", [receipt(elsewhere="winograd")], ENGINES) == "eager"
    here = receipt(**{processor_kind(): "winograd"})
    assert wanted_engine("auto", [here], ENGINES) == "winograd"
    assert wanted_engine("auto", [here], ("eager",)) == "eager"
    assert wanted_engine("auto", [receipt(), here], ENGINES) == "winograd"
    assert wanted_engine("winograd", [], ("eager",)) == "eager"  # a network without such a trunk


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("app.model.engine_choice.is_installed", lambda engine: engine != "ncnn")
    assert wanted_engine("auto", [receipt(**{processor_kind(): "ncnn"})], ENGINES) == "eager"
    assert "ncnn, which is not installed" in caplog.text
    with pytest.raises(ModelError, match="VGG_CPU_ENGINE=ncnn needs the package ncnn"):
        wanted_engine("ncnn", [], ENGINES)
