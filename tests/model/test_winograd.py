import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from app.model import winograd
from app.model.winograd import A_T, B_T, G, WinogradConv2d, transform_kernels

CLOSE = 5e-5  # of values around 1


def case(count: int, channels_in: int, channels_out: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Images, weight and bias, so that the results are around 1."""
    dice = torch.Generator().manual_seed(1)
    images = torch.randn(count, channels_in, *size, generator=dice)
    weight = torch.randn(channels_out, channels_in, 3, 3, generator=dice) / (9 * channels_in) ** 0.5
    return images, weight, torch.randn(channels_out, generator=dice)


def test_one_tile_by_the_formula() -> None:
    """Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, in integers times 1/576, so that fp64 gives the sums of the definition."""
    d, g = torch.arange(36.0, dtype=torch.float64).view(6, 6) ** 2, torch.arange(9.0, dtype=torch.float64).view(3, 3)
    y = A_T @ ((G @ g @ G.T) * (B_T @ d @ B_T.T)) @ A_T.T
    assert torch.allclose(y, conv2d(d[None, None], g[None, None])[0, 0], rtol=1e-12)


def test_transformed_kernels_lie_by_point() -> None:
    _, weight, _ = case(1, 3, 5, (6, 6))
    kernels = transform_kernels(weight)
    assert kernels.shape == (36, 3, 5)
    expected = G @ weight[4, 2].double() @ G.T
    assert torch.allclose(kernels[:, 2, 4].double(), expected.flatten(), atol=1e-6)


@pytest.mark.parametrize("size", [(3, 3), (3, 4), (4, 4), (5, 9), (14, 14), (31, 17), (56, 56)])
@pytest.mark.parametrize("padding", [(1, 1), (0, 2), (2, 0)])
def test_it_is_the_convolution_of_any_size(size: tuple[int, int], padding: tuple[int, int]) -> None:
    images, weight, bias = case(2, 5, 7, size)
    expected = conv2d(images, weight, bias, padding=padding)
    found = WinogradConv2d(weight, bias, padding, relu=False)(images)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < CLOSE


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("channels", [(1, 1), (3, 64), (64, 3), (130, 33)])
def test_any_batch_and_any_channels(count: int, channels: tuple[int, int]) -> None:
    images, weight, bias = case(count, *channels, (13, 10))
    found = WinogradConv2d(weight, bias, (1, 1), relu=True)(images.contiguous(memory_format=torch.channels_last))
    assert (found - conv2d(images, weight, bias, padding=1).relu()).abs().max() < CLOSE


def test_blocks_of_tile_rows_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight, bias = case(2, 4, 6, (29, 22))
    layer = WinogradConv2d(weight, bias, (1, 1), relu=True)
    whole = layer(images)
    for size in (1, 20_000, 2**40):
        monkeypatch.setattr(winograd, "BLOCK_BYTES", size)
        assert torch.allclose(layer(images), whole, atol=1e-5)


def test_no_images() -> None:
    _, weight, bias = case(1, 3, 5, (6, 6))
    assert WinogradConv2d(weight, bias, (0, 0), relu=False)(torch.zeros(0, 3, 8, 8)).shape == (0, 5, 6, 6)
