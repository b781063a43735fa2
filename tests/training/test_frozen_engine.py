"""The frozen side in another engine: the same features, and the same names for what is trained."""

import logging

import pytest
import torch
from torch import nn

from app.model.architectures import build_vgg
from app.model.engines import Engine
from app.model.library import Library
from app.model.receipt import Receipt
from app.training import frozen_engine
from app.training.cut import CutNetwork, Train, cut_network
from app.training.frozen_engine import take_engine
from tests.running import settings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(build_vgg("vgg11", 5).state_dict())


def cut(tensors: dict[str, torch.Tensor], train: Train) -> CutNetwork:
    preprocessing = Library.from_settings(settings()).manifest("vgg11").preprocessing
    return cut_network("vgg11", tensors, preprocessing, 2, train)


def take(network: CutNetwork, engine: Engine, *receipts: Receipt) -> Engine:
    return take_engine(network, "vgg11", 64, engine, receipts=receipts, device=CPU)


@pytest.mark.parametrize("engine", ["winograd", "ncnn"])
@pytest.mark.parametrize("train", ["head", "block5"])
def test_features_are_the_same(tensors: dict[str, torch.Tensor], train: Train, engine: Engine) -> None:
    network = cut(tensors, train)
    side = 224 if train == "head" else 64
    pictures = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    before, names = network.frozen(pictures), network.trained_names()
    frozen = set(network.frozen_tensors())
    assert take_engine(network, "vgg11", side, engine, receipts=(), device=CPU) == engine
    after = network.frozen(pictures)
    assert torch.allclose(before, after, atol=1e-3 * float(before.abs().max()))
    assert not torch.equal(before, after)  # somebody else has computed them
    assert (network.trained_names(), set(network.frozen_tensors())) == (names, frozen)


def test_without_a_frozen_side_there_is_nothing_to_speed_up(tensors: dict[str, torch.Tensor]) -> None:
    assert take(cut(tensors, "all"), "winograd") == "eager"


def test_an_engine_with_other_features_is_not_taken(
    tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(frozen_engine, "with_engine", lambda layers, _: nn.Sequential(*layers, nn.Softplus()))
    network = cut(tensors, "block5")
    layers = network.frozen.layers
    with caplog.at_level(logging.WARNING):
        assert take(network, "winograd") == "eager"
    assert network.frozen.layers is layers
    assert "winograd does not compute the frozen layers, since a feature differs" in caplog.text
