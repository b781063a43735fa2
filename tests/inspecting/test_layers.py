"""Each figure beside what is known of it: the paper, torchvision's tables, and plain counting."""

import pytest
import torch
from torchvision.models import get_model_weights

from app.errors import ModelError
from app.inspecting.layers import inspect
from app.model.architectures import TORCHVISION_VGGS
from app.model.network import build_architecture


def test_vgg16_is_what_is_published_of_it() -> None:
    table = inspect("vgg16")
    assert table.parameters == 138_357_544
    assert table.multiply_adds == 15_470_264_320
    assert table.weight_layers == 16
    assert table.kept_bytes == pytest.approx(73.36e6, rel=1e-3)  # measured with saved-tensor hooks on real tensors
    assert table.forward_bytes == 4 * 2 * 64 * 224**2
    names = [layer.name for layer in table.layers if layer.parameters]
    assert names[:3] == ["conv1_1", "conv1_2", "conv2_1"]
    assert names[-4:] == ["conv5_3", "fc6", "fc7", "fc8"]


@pytest.mark.parametrize("architecture", TORCHVISION_VGGS)
def test_the_totals_are_those_that_torchvision_publishes(architecture: str) -> None:
    meta = get_model_weights(architecture).IMAGENET1K_V1.meta
    table = inspect(architecture)
    assert table.parameters == meta["num_params"]
    assert round(table.multiply_adds / 1e9, 3) == meta["_ops"]


def test_fields_and_strides_grow_as_they_do_by_hand() -> None:
    by_name = {layer.name: layer for layer in inspect("vgg16").layers}
    fields = {name: (by_name[name].receptive_field, by_name[name].stride) for name in ("conv1_2", "conv3_3", "pool5")}
    assert fields == {"conv1_2": (5, 1), "conv3_3": (40, 4), "pool5": (212, 32)}
    assert by_name["fc6"].receptive_field is None


def test_three_small_convolutions_see_as_much_as_a_large_one_with_fewer_weights() -> None:
    by_name = {layer.name: layer for layer in inspect("vgg16").layers}
    assert by_name["conv4_3"].receptive_field - by_name["pool3"].receptive_field == 8 * (7 - 1)  # type: ignore[operator]
    weights = by_name["conv4_2"].parameters - 512
    assert (3 * weights, 49 * 512**2) == (27 * 512**2, 12_845_056)


def test_memory_grows_with_the_batch_and_what_is_kept_is_what_autograd_keeps() -> None:
    one, four = inspect("vgg11", 10, 64), inspect("vgg11", 10, 64, 4)
    assert four.forward_bytes == 4 * one.forward_bytes
    assert four.kept_bytes == pytest.approx(4 * one.kept_bytes, rel=1e-3)
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network = build_architecture("vgg11", 10).features.to_empty(device="cpu").train()  # type: ignore[union-attr]
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(torch.zeros(1, 3, 64, 64))
    assert output.shape == (1, 512, 2, 2)
    expected = sum(size for place, size in saved.items() if place not in parameters)
    trunk = [layer for layer in one.layers if layer.name.startswith(("conv", "pool"))]
    assert sum(layer.kept_bytes for layer in trunk) == expected


def test_only_a_chain_of_layers_can_be_shown() -> None:
    with pytest.raises(ModelError, match="is no VGG"):
        inspect("timm:tf_efficientnet_lite0")
