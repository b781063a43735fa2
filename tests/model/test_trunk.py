import pytest
import torch
import torchvision
from torch import nn

from app.model.trunk import Convolution, Pool, read_trunk


@pytest.mark.parametrize(
    ("architecture", "convolutions"), [("vgg11", 8), ("vgg13_bn", 10), ("vgg16", 13), ("vgg19_bn", 16)]
)
def test_a_vggs_trunk_is_read_whole(architecture: str, convolutions: int) -> None:
    with torch.device("meta"):
        features = torchvision.models.get_model(architecture, weights=None).features
    with torch.device("cpu"):
        features = features.to_empty(device="cpu")
    steps, taken = read_trunk(features)
    assert taken == len(features)
    assert sum(isinstance(step, Convolution) and step.relu for step in steps) == convolutions
    assert sum(isinstance(step, Pool) for step in steps) == 5


def test_batch_normalisation_is_folded() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(0.1, 3)
    layers = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, bias=False), norm).eval()
    ((weight, bias, padding, relu),), taken = read_trunk(layers)  # type: ignore[misc]
    images = torch.randn(2, 4, 9, 9)
    assert (taken, padding, relu) == (2, (1, 1), False)
    assert torch.allclose(nn.functional.conv2d(images, weight, bias, padding=1), layers(images), atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, stride=2),
        nn.Conv2d(4, 4, 5),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(1),
        nn.Dropout(),
    ],
)
def test_it_ends_before_the_first_layer_of_another_kind(layer: nn.Module) -> None:
    steps, taken = read_trunk([nn.Conv2d(3, 4, 3), nn.ReLU(), layer, nn.Conv2d(4, 4, 3)])
    assert (len(steps), taken) == (1, 2)


def test_normalisation_after_relu_cannot_be_folded() -> None:
    assert read_trunk([nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)])[1] == 2
    assert read_trunk([nn.BatchNorm2d(4)]) == ([], 0)
