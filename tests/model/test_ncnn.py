"""ncnn beside torch. It is an extra, which scripts/test has installed where there are wheels of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from app.model.ncnn import NcnnTrunk, describe
from app.model.trunk import Convolution, Pool, read_trunk

pytest.importorskip("ncnn")


def layers(*convolutions: nn.Module) -> nn.Sequential:
    return nn.Sequential(*convolutions).eval().requires_grad_(requires_grad=False)


def test_what_ncnn_is_told() -> None:
    convolution = Convolution(torch.zeros(6, 4, 3, 3), torch.zeros(6), (1, 2), relu=True)
    assert describe([convolution, Pool()]).splitlines() == [
        "7767517",
        "3 3",
        "Input input 0 1 blob0",
        "Convolution layer0 1 1 blob0 blob1 0=6 1=3 6=216 4=2 14=1 5=1 9=1",
        "Pooling layer1 1 1 blob1 blob2 0=0 1=2 2=2 5=1",
    ]


@pytest.mark.parametrize("size", [(4, 4), (7, 5), (15, 33), (56, 56)])
@pytest.mark.parametrize("padding", [(1, 1), (0, 2)])
@pytest.mark.parametrize("count", [1, 3])
def test_it_gives_what_torch_gives(size: tuple[int, int], padding: tuple[int, int], count: int) -> None:
    torch.manual_seed(0)
    eager = layers(nn.Conv2d(3, 16, 3, padding=padding), nn.ReLU(), nn.Conv2d(16, 33, 3, padding=1), nn.MaxPool2d(2))
    images = torch.randn(count, 3, *size)
    expected = eager(images)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        found = NcnnTrunk(read_trunk(eager)[0])(given)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1e-5


def test_threads_share_one_network() -> None:
    torch.manual_seed(0)
    eager = layers(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1))
    trunk = NcnnTrunk(read_trunk(eager)[0])
    images = [torch.randn(1, 3, 40, 40) for _ in range(16)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(trunk, images))
    assert all((one - eager(image)).abs().max() < 1e-5 for one, image in zip(found, images, strict=True))


def test_its_weights_are_its_own() -> None:
    torch.manual_seed(0)
    eager = layers(nn.Conv2d(3, 8, 3, padding=1))
    trunk, image = NcnnTrunk(read_trunk(eager)[0]), torch.randn(1, 3, 12, 12)
    expected = eager(image)
    for parameter in eager.parameters():
        parameter.data.zero_()
    assert (trunk(image) - expected).abs().max() < 1e-5
