"""Which way to run a batch is taken, with ways whose speed and answers are given."""

import shutil
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from app.errors import BatchTooLarge
from app.model.load import load_model
from app.model.manifest import Manifest, read_manifest
from app.model.network import FromPixels, TorchNetwork, device_kind
from app.model.receipt import LaunchChoice
from app.model.store import ModelStore
from app.preparing import command, launch
from app.preparing.launch import PLAIN, best_launch, has_choice, is_measured, measure_launch, pictures
from app.settings import Settings
from tests.dummy import MODELS

MANIFEST: Manifest = read_manifest(MODELS / "efficientnet_lite0" / "manifest.json")
BATCHES = pictures(2, 24)
TWICE = LaunchChoice(way="plain", in_flight=2)
PINNED = LaunchChoice(way="pinned")


class Layer(nn.Module):
    """Takes a while, and adds ``error`` to a logit."""

    def __init__(self, seconds: float, error: float = 0.0, fault: Exception | None = None) -> None:
        super().__init__()
        self.seconds, self.error, self.fault = seconds, error, fault

    def forward(self, normalised: Tensor) -> Tensor:
        if self.fault is not None:
            raise self.fault
        time.sleep(self.seconds)
        logits = normalised.flatten(1)[:, ::200]
        logits[:, 0] += self.error
        return logits


def network(layer: Layer) -> TorchNetwork:
    return TorchNetwork(FromPixels(layer, MANIFEST.preprocessing, torch.float32), torch.device("cpu"))


CLASSES = network(Layer(0)).logits(BATCHES[0]).shape[1]


def choose(**layers: Layer) -> tuple[LaunchChoice, list[str]]:
    """Of plain ways with these layers; what is taken, and what is said against others."""
    by_choice = {PLAIN: layers["plain"], TWICE: layers.get("twice"), PINNED: layers.get("pinned")}
    choices = [choice for choice, layer in by_choice.items() if layer is not None]
    best, _, faults = best_launch(
        lambda choice: network(by_choice[choice] or Layer(0)), BATCHES, CLASSES, choices=choices
    )
    return best, list(faults.values())


def test_what_gains_is_taken() -> None:
    assert choose(plain=Layer(0.004), pinned=Layer(0.001)) == (PINNED, [])


def test_two_under_way_are_run_by_two_threads() -> None:
    assert choose(plain=Layer(0.004), twice=Layer(0.004)) == (TWICE, [])


def test_what_gains_nothing_is_not_taken() -> None:
    assert choose(plain=Layer(0.004), pinned=Layer(0.02)) == (PLAIN, [])


def test_what_answers_otherwise_is_not_taken_however_fast() -> None:
    best, (fault,) = choose(plain=Layer(0.004), pinned=Layer(0.0, error=0.5))
    assert best == PLAIN
    assert fault.startswith("it answers otherwise than plain x1, a probability by 0.")


@pytest.mark.parametrize("fault", [RuntimeError("no capture\nmore"), torch.OutOfMemoryError("no room")])
def test_what_fails_is_left_out_and_says_why(fault: Exception) -> None:
    best, said = choose(plain=Layer(0.001), pinned=Layer(0.0, fault=fault))
    assert (best, said) == (PLAIN, [f"it fails ({str(fault).splitlines()[0]})"])


def test_batches_differ_in_every_picture() -> None:
    assert len({picture.tobytes() for batch in BATCHES for picture in batch}) == 8
    assert BATCHES[0].shape == (2, 24, 24, 3)


@pytest.fixture
def settings(embedded_store: Path, tmp_path: Path) -> Settings:
    shutil.copytree(embedded_store, tmp_path, dirs_exist_ok=True)
    return Settings(store_dir=tmp_path, device="cpu", precision="fp32")


def test_what_was_measured_is_in_the_receipt_and_served(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the one other way that a CPU has."""
    monkeypatch.setattr(launch, "best_launch", lambda *_: (TWICE, {PLAIN: 1.0, TWICE: 2.0}, {PINNED: "it fails"}))
    said: list[str] = []
    assert load_model(MANIFEST.name, settings).in_flight == 1
    assert not is_measured(MANIFEST, settings)
    measure_launch(MANIFEST, settings, said.append)
    assert is_measured(MANIFEST, settings)
    kind = device_kind(torch.device("cpu"), "fp32")
    assert ModelStore(settings.store_dir, MANIFEST.name).read_receipt().best_launch == {kind: TWICE}
    assert said == [
        f"Images per second by way, in batches of 4 on {kind}: plain x1: 1.0, plain x2: 2.0; taking plain x2.",
        "pinned x1 is left out: it fails",
    ]
    assert load_model(MANIFEST.name, settings).in_flight == 2


@pytest.mark.parametrize("error", [RuntimeError("the device is beyond use"), BatchTooLarge("no room")])
def test_a_device_on_which_nothing_can_be_measured_is_served_plainly(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(launch, "has_choice", lambda _: True)
    monkeypatch.setattr(launch, "best_launch", fail)
    monkeypatch.setattr("app.preparing.batch_size.is_measured", lambda *_: True)
    command.measure(MANIFEST, settings, again=False)
    assert f"cannot be measured here ({error}); batches are run plainly." in capsys.readouterr().err


def test_a_cpu_has_one_way(settings: Settings) -> None:
    assert not has_choice(settings)
