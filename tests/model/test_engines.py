import pytest
import torch
import torchvision
from torch import nn

from app.model.engines import ENGINES, Engine, engines_for, is_installed, pays, with_engine
from app.model.trunk import Convolution
from app.model.winograd import WinogradConv2d

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
OTHERS = [engine for engine in ENGINES if engine != "eager" and is_installed(engine)]


def vgg(architecture: str) -> nn.Sequential:
    """A trunk with random weights, and running statistics as training leaves them."""
    torch.manual_seed(0)
    features: nn.Sequential = torchvision.models.get_model(architecture, weights=None).features
    for layer in features:
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
    return features.eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module", params=["vgg11", "vgg13_bn"])
def trunk(request: pytest.FixtureRequest) -> nn.Sequential:
    return vgg(request.param)


@pytest.mark.parametrize("engine", OTHERS)
def test_a_whole_trunk_is_the_same_in_every_engine(trunk: nn.Sequential, engine: Engine) -> None:
    images = torch.randn(2, 3, 70, 90)
    expected, found = trunk(images), with_engine(trunk, engine)(images)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("engine", OTHERS)
def test_what_follows_a_trunk_stays(engine: Engine) -> None:
    torch.manual_seed(0)
    tail = [nn.AdaptiveAvgPool2d(2), nn.Flatten(1), nn.Linear(32, 3)]
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), *tail]
    eager = nn.Sequential(*layers).eval().requires_grad_(requires_grad=False)
    found = with_engine(eager, engine)
    assert list(found)[-3:] == tail
    images = torch.randn(3, 3, 20, 20)
    assert torch.allclose(found(images), eager(images), atol=1e-5)


def test_eager_is_what_was_given(trunk: nn.Sequential) -> None:
    assert list(with_engine(trunk, "eager")) == list(trunk)


def test_weights_are_not_changed_and_not_kept(trunk: nn.Sequential) -> None:
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    own = {tensor.data_ptr() for tensor in with_engine(trunk, "winograd").state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in trunk.state_dict().values()}
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.state_dict().items())


def test_winograd_where_it_pays() -> None:
    def convolution(channels_in: int, channels_out: int) -> Convolution:
        return Convolution(torch.zeros(channels_out, channels_in, 3, 3), torch.zeros(channels_out), (1, 1), relu=True)

    assert [pays(convolution(*pair)) for pair in ((3, 64), (64, 64), (128, 128), (512, 512))] == [
        False,
        False,
        True,
        True,
    ]
    layers = with_engine(vgg("vgg11"), "winograd")
    assert sum(isinstance(layer, WinogradConv2d) for layer in layers) == 6
    assert sum(isinstance(layer, nn.Conv2d) for layer in layers) == 2


def test_where_there_is_a_choice() -> None:
    assert engines_for("vgg16_bn", CPU, "fp32") == ENGINES
    for case in (("vgg16", CPU, "bf16"), ("vgg16", CUDA, "fp32"), ("timm:tf_efficientnet_lite0", CPU, "fp32")):
        assert engines_for(*case) == ("eager",)


def test_ncnn_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert [is_installed(engine) for engine in ENGINES] == [True, True, False]
