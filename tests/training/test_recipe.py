import pytest
import torch
from torch import nn
from torch.optim import SGD

from app.training.cut import CutNetwork, Frozen
from app.training.recipe import make_optimizer, make_scheduler, seed_for, step_scheduler
from tests.training.test_loop import recipe


def rates(nlls: list[float], **changes: object) -> list[float]:
    """The rate of each epoch, given the NLL that each ended with."""
    made = recipe(lr=1.0, **changes)
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=made.lr)
    scheduler = make_scheduler(optimizer, made)
    found = []
    for nll in nlls:
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        step_scheduler(scheduler, nll)
    return found


def test_steps_come_after_so_many_epochs() -> None:
    assert rates([1.0] * 5, schedule="step", step_epochs=2, gamma=0.5) == pytest.approx([1, 1, 0.5, 0.5, 0.25])


def test_cosine_falls_to_zero_over_the_run() -> None:
    assert rates([1.0] * 4, schedule="cosine", epochs=4) == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-5)


def test_on_a_plateau_the_rate_falls_and_while_it_gets_better_it_stays() -> None:
    assert rates([5.0, 4.0, 3.0, 2.0], schedule="plateau", patience=2) == [1, 1, 1, 1]
    assert rates([1.0, 1.0, 1.0, 1.0], schedule="plateau", patience=2, gamma=0.1) == pytest.approx([1, 1, 1, 0.1])


def test_seeds_differ_with_any_number_and_in_their_order() -> None:
    seeds = [seed_for(620, 0, 0), seed_for(620, 0, 1), seed_for(620, 1, 0), seed_for(621, 0, 0), seed_for(0, 620, 0)]
    assert len(set(seeds)) == 5
    assert seed_for(620, 3, 7) == seed_for(620, 3, 7)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_biases_and_batch_norm_do_not_decay() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(), nn.Linear(4, 2))
    network = CutNetwork(layers, Frozen(nn.Sequential(nn.Identity())), layers)
    groups = make_optimizer(network, recipe(weight_decay=0.01)).param_groups
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert len(decays) == 6
    for name, parameter in layers.named_parameters():
        assert decays[id(parameter)] == (0.01 if name in ("0.weight", "4.weight") else 0), name
