"""Every VGG with random weights: its count, and the smallest of them through HTTP."""

from typing import cast

import pytest
import torch
from torch import nn
from torchvision.models import VGG

from app.model.architectures import NET_OF, VGGS, build_vgg
from app.model.dense import Windows
from app.model.network import TorchNetwork, build_architecture
from tests.model.narrow import serve_vgg
from tests.pictures import encode, photograph
from tests.running import running

MILLIONS = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}  # the paper's table 2


@pytest.mark.parametrize("architecture", VGGS)
def test_each_can_be_built_and_has_as_many_parameters_as_the_paper_says(architecture: str) -> None:
    network = build_architecture(architecture, 1000)
    count = sum(parameter.numel() for parameter in network.parameters())
    net = NET_OF[architecture.removesuffix("_bn")]
    assert round(count / 1e6) == MILLIONS[net]
    with torch.device("meta"):
        assert network.eval()(torch.empty(1, 3, 224, 224)).shape == (1, 1000)


def test_c_is_d_with_a_smaller_third_convolution_in_its_last_blocks() -> None:
    with torch.device("meta"):
        c, d = build_vgg("vgg16_c", 7), build_vgg("vgg16", 7)
    kernels = [[layer.kernel_size[0] for layer in net.modules() if isinstance(layer, nn.Conv2d)] for net in (c, d)]
    assert kernels == [[3, 3] * 2 + [3, 3, 1] * 3, [3] * 13]


def test_responses_are_normalised_as_krizhevsky_does() -> None:
    """b = a / (k + alpha * sum of squares over five channels) ** beta, which torch words otherwise."""
    network = build_vgg("vgg11_lrn", 2)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.LocalResponseNorm)]
    assert len(layers) == 1
    a = 30 * torch.rand(1, 8, 2, 2)
    squares = nn.functional.pad(a**2, (0, 0, 0, 0, 2, 2))
    sums = sum(squares[:, start : start + 8] for start in range(5))
    assert torch.allclose(layers[0](a), a / (2 + 1e-4 * sums) ** 0.75, rtol=1e-5)


def test_the_smallest_answers_over_http_and_its_dense_form_agrees() -> None:
    torch.manual_seed(0)
    network = build_vgg("vgg11_lrn", 1000)
    assert isinstance(network, VGG)
    model = serve_vgg(network, 1000)
    places = cast(TorchNetwork, model.network).places
    assert isinstance(places, Windows)
    with torch.inference_mode():
        picture = torch.randn(1, 3, 224, 224)
        assert (places(picture)[:, 0, 0] - network(picture)).abs().max() < 1e-5
    with running(model, request_timeout_s=200, max_queue_delay_s=200) as service:
        service.client.timeout = 200
        answer = service.predict(encode(photograph(), "JPEG"), top_k=1000).raise_for_status().json()
        assert sum(one["probability"] for one in answer["predictions"]) == pytest.approx(1, abs=1e-4)
        dense = service.predict(encode(photograph(), "JPEG"), evaluation="dense").raise_for_status().json()
        assert (dense["evaluation"], dense["views"]) == ("dense", 2)
