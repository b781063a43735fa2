import numpy as np
import pytest
import torch
from torch import Tensor

from app.errors import ModelError
from app.model.network import FromPixels, build_architecture
from app.preparing.origin import torchvision_preprocessing
from app.training.cut import CutNetwork, Train, cut_network
from app.training.recipe import make_optimizer
from tests.training.test_loop import recipe

PREPROCESSING = torchvision_preprocessing()


def weights(architecture: str) -> dict[str, Tensor]:
    """Small random weights, the big matrices as views of a single row: no gigabytes for a test."""
    generator = torch.Generator().manual_seed(0)
    state = build_architecture(architecture, 1000).state_dict()
    return {
        name: torch.randn(1, *tensor.shape[1:], generator=generator).mul(0.01).expand(tensor.shape)
        for name, tensor in state.items()
    }


@pytest.fixture(scope="module")
def vgg() -> dict[str, Tensor]:
    return weights("vgg11")


def cut(tensors: dict[str, Tensor], train: Train) -> CutNetwork:
    return cut_network("vgg11", tensors, PREPROCESSING, 2, train, seed=1)


@pytest.mark.parametrize(
    ("train", "first", "count"),
    [
        ("head", "classifier.6.weight", 2),
        ("classifier", "classifier.0.weight", 6),
        ("block5", "features.16.weight", 10),
        ("all", "features.0.weight", 22),
    ],
)
def test_what_is_frozen_has_no_gradient_and_what_learns_has_one(
    vgg: dict[str, Tensor], train: Train, first: str, count: int
) -> None:
    network = cut(vgg, train)
    names = network.trained_names()
    assert names[0] == first
    assert len(names) == count
    state = network.whole.state_dict(keep_vars=True)
    assert {name for name, tensor in state.items() if tensor.requires_grad} == set(names)
    features = network.frozen(torch.zeros((2, 3, 64, 64), dtype=torch.uint8))
    assert not features.requires_grad
    # every trained parameter is in one group of the optimiser, and nothing else is
    groups = make_optimizer(network, recipe(lr=0.1, trunk_lr_scale=0.25)).param_groups
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(state[name]) for name in names)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(state[name])] for name in names if name.startswith("features.")} <= {0.025}
    assert rates[id(state["classifier.6.bias"])] == 0.1


def test_both_sides_are_the_network_that_is_served(vgg: dict[str, Tensor]) -> None:
    network = cut(vgg, "classifier")
    network.trained.eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8))
    served = FromPixels(network.whole.eval(), PREPROCESSING, torch.float32)
    with torch.no_grad():
        assert torch.equal(network.trained(network.frozen(pixels)), served(pixels))


def test_training_mode_never_reaches_what_is_frozen(vgg: dict[str, Tensor]) -> None:
    network = cut(vgg, "head")
    network.frozen.train()
    assert not any(layer.training for layer in network.frozen.layers.modules())


def test_the_new_layer_comes_from_the_seed_and_the_base_is_not_written_to(vgg: dict[str, Tensor]) -> None:
    one, same = cut(vgg, "head"), cut(vgg, "head")
    other = cut_network("vgg11", vgg, PREPROCESSING, 2, "head", seed=2)
    name = "classifier.6.weight"
    assert torch.equal(one.trained_tensors()[name], same.trained_tensors()[name])
    assert not torch.equal(one.trained_tensors()[name], other.trained_tensors()[name])
    kept = cut_network("vgg11", vgg, PREPROCESSING, 1000, "head", keep_head=True)
    before = vgg[name].clone()
    assert torch.equal(kept.trained_tensors()[name], before)
    with torch.no_grad():
        kept.trained_tensors()[name].zero_()
    assert torch.equal(vgg[name], before)


def test_other_networks_train_their_last_layer_only() -> None:
    import timm

    tensors = dict(timm.create_model("test_vit", num_classes=5).state_dict())
    network = cut_network("timm:test_vit", tensors, PREPROCESSING, 3, "classifier")
    assert network.trained_names() == ["head.weight", "head.bias"]
    with pytest.raises(ModelError, match="block5 needs a VGG"):
        cut_network("timm:test_vit", tensors, PREPROCESSING, 3, "block5")
