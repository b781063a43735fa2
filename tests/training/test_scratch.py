import pytest
import torch

from app.errors import ModelError
from app.training.scratch import INITS, Init, borrow, draw_weights


@pytest.mark.parametrize("init", INITS)
def test_weights_are_drawn_as_published_and_from_the_seed(init: Init) -> None:
    drawn = draw_weights("vgg11_bn", 3, init, 7)
    fan_in, fan_out = 64 * 9, 128 * 9
    std = {"paper": 0.1, "xavier": (2 / (fan_in + fan_out)) ** 0.5, "kaiming": (2 / fan_in) ** 0.5}[init]
    assert float(drawn["features.4.weight"].std()) == pytest.approx(std, rel=0.02)
    assert not drawn["features.4.bias"].any()
    assert drawn["classifier.6.weight"].shape == (3, 4096)
    assert torch.equal(drawn["features.5.weight"], torch.ones(128))
    assert torch.equal(drawn["features.5.running_var"], torch.ones(128))
    again = draw_weights("vgg11_bn", 3, init, 7)
    assert all(torch.equal(tensor, again[name]) for name, tensor in drawn.items())
    assert not torch.equal(draw_weights("vgg11_bn", 3, init, 8)["features.4.weight"], drawn["features.4.weight"])


def test_a_deep_net_takes_the_first_and_last_layers_of_net_a() -> None:
    small, deep = draw_weights("vgg11", 3, "paper", 1), draw_weights("vgg16", 3, "paper", 2)
    found = borrow(deep, "vgg16", small, "vgg11")
    answers = {"features.0": "features.0", "features.5": "features.3", "features.10": "features.6"}
    answers |= {"features.12": "features.8"} | {f"classifier.{n}": f"classifier.{n}" for n in (0, 3, 6)}
    for mine, theirs in answers.items():
        assert torch.equal(found[f"{mine}.weight"], small[f"{theirs}.weight"]), mine
    kept = [name for name in deep if name.rpartition(".")[0] not in answers]
    assert all(torch.equal(found[name], deep[name]) for name in kept)
    other = borrow(draw_weights("vgg16", 5, "paper", 2), "vgg16", small, "vgg11")
    assert other["classifier.6.weight"].shape == (5, 4096)


def test_only_a_vgg_starts_from_nothing() -> None:
    with pytest.raises(ModelError, match="needs one of the VGGs"):
        draw_weights("timm:test_vit", 2, "paper", 0)
