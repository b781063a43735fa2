"""The dense form, beside the network it is made of and beside convolutions written out."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from app.model.dense import Activations, Windows, is_exact, places_of
from app.model.network import TorchNetwork
from tests.model.narrow import CHANNELS, CLASSES, narrow_model, narrow_vgg, noise


def as_convolutions(network: nn.Module, pictures: Tensor) -> Tensor:
    """The paper's own words: FC6 as 7x7, the last one as 1x1; (N, classes, rows, columns)."""
    first, _, _, last = cast(nn.Sequential, network.classifier)
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    features = cast(nn.Sequential, network.features)(pictures)
    hidden = relu(conv2d(features, first.weight.view(-1, CHANNELS, 7, 7), first.bias))
    return conv2d(hidden, last.weight[:, :, None, None], last.bias)


@torch.inference_mode()
def test_at_224_it_is_the_stock_network() -> None:
    network = narrow_vgg()
    pictures = torch.randn(3, 3, 224, 224)
    scores = Windows(network)(pictures)
    assert scores.shape == (3, 1, 1, CLASSES)
    assert (scores[:, 0, 0] - network(pictures)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("size", "places"),
    [((256, 256), (2, 2)), ((384, 384), (6, 6)), ((512, 512), (10, 10)), ((256, 341), (2, 4)), ((300, 224), (3, 1))],
)
@torch.inference_mode()
def test_it_is_the_convolutions_of_the_paper_over_pictures_of_any_size(
    size: tuple[int, int], places: tuple[int, int]
) -> None:
    network = narrow_vgg()
    pictures = torch.randn(2, 3, *size)
    scores = Windows(network)(pictures)
    assert scores.shape == (2, *places, CLASSES)
    assert (scores.permute(0, 3, 1, 2) - as_convolutions(network, pictures)).abs().max() < 1e-4


@torch.inference_mode()
def test_the_stock_network_at_another_size_is_something_else() -> None:
    """torchvision pools features of any size to 7x7 and says nothing."""
    network = narrow_vgg()
    pictures = torch.randn(1, 3, 448, 448)
    assert (Windows(network)(pictures).mean((1, 2)) - network(pictures)).abs().max() > 1e-2


def test_nothing_is_copied() -> None:
    network = narrow_vgg()
    places = Windows(network)
    of_network = {tensor.data_ptr() for tensor in network.parameters()}
    assert {tensor.data_ptr() for tensor in places.parameters()} == of_network


def test_the_places_divide_a_box_that_is_what_the_middles_of_the_windows_cover() -> None:
    box = Windows(narrow_vgg()).box(256, 512)
    assert (box.upper * 256, box.lower * 256) == (96, 160)
    assert (box.left * 512, box.right * 512) == (96, 416)


def test_of_another_crop_than_224_there_is_no_dense_form() -> None:
    assert isinstance(places_of(narrow_vgg(), 224), Windows)
    assert places_of(narrow_vgg(), 256) is None
    assert places_of(nn.Linear(3, 3), 224) is None


def test_an_averaging_network_is_linear_behind_its_features() -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=5).eval()
    places = places_of(network, 224)
    assert isinstance(places, Activations)
    assert not places.dense
    probe = torch.randn(1, 3, 256, 320)
    assert places(probe).shape == (1, 8, 10, 5)
    assert is_exact(places, network, probe)


def test_a_network_that_does_more_than_average_is_found_out() -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", num_classes=5).eval()  # a layer between average and head
    places = places_of(network, 224)
    assert places is None or not is_exact(places, network, torch.randn(1, 3, 224, 224))


def test_scores_are_divided_by_the_temperature() -> None:
    pixels = noise(1, 256, 256, 3)
    plain, warm = (cast(TorchNetwork, narrow_model(temperature=one).network).score_maps(pixels) for one in (1.0, 2.0))
    assert plain.scores.shape == (1, 2, 2, CLASSES)
    assert plain.scores / 2 == pytest.approx(warm.scores, abs=1e-5)
    assert plain.box == warm.box
