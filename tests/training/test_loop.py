"""The loop on a problem with a known answer, in one process."""

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.training.cut import CutNetwork, Frozen
from app.training.distributed import Ranks
from app.training.dropout import RowDropout
from app.training.loop import Trainer
from app.training.recipe import Recipe, make_optimizer, make_scheduler
from app.training.split import Sample

CPU = torch.device("cpu")


def recipe(**changes: object) -> Recipe:
    values: dict[str, Any] = {
        "seed": 3,
        "epochs": 4,
        "batch_size": 8,
        "accumulate": 1,
        "lr": 0.1,
        "trunk_lr_scale": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "label_smoothing": 0.0,
        "dropout": 0.3,
        "schedule": "step",
        "step_epochs": 2,
        "gamma": 0.1,
        "patience": 0,
        "amp": False,
    }
    return Recipe(**values | changes)


SAMPLES = [Sample(n, "train", n % 2, "ab"[n % 2], f"{n}", f"{n}") for n in range(43)]


class Points:
    """Two clouds; the inputs of the trained side are a function of the sample."""

    def batches(self, epoch: int | None, batches: Sequence[Sequence[Sample]]) -> Iterator[Tensor]:
        for batch in batches:
            noise = [torch.randn(6, generator=torch.Generator().manual_seed(one.index)) for one in batch]
            centre = torch.tensor([[2.0 * one.class_index - 1] for one in batch]).reshape(len(batch), 1)
            yield torch.stack(noise) + centre


def network() -> CutNetwork:
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(6, 5), nn.ReLU(), RowDropout(0.3, 1), nn.Linear(5, 2)]
    whole = nn.Sequential(*layers)
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return CutNetwork(whole, Frozen(nn.Sequential(nn.Identity())), nn.Sequential(*layers))


def trainer(recipe: Recipe, saved: list[Any] | None = None, validation: Sequence[float] = ()) -> Trainer:
    values = iter(validation)
    made = network()

    def validate() -> tuple[float, float]:
        return 0.5, next(values, 1.0)

    def save(state: Any) -> None:
        if saved is not None:
            # as a checkpoint does: what training changes afterwards must not change what was saved
            saved.append(torch.load(_bytes(state), weights_only=True))

    return Trainer(
        made,
        recipe,
        Points(),
        SAMPLES,
        Ranks(CPU),
        validate=validate,
        save=save,
        save_every_s=0 if saved is not None else 1e9,
    )


def _bytes(state: Any) -> Any:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def final(one: Trainer) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in one.network.trained_tensors().values()])


def test_it_learns_and_the_schedule_steps() -> None:
    one = trainer(recipe())
    one.run()
    losses = [row["train_loss"] for row in one.progress.history]
    assert losses[-1] < 0.6 * losses[0]
    assert one.progress.history[-1]["train_accuracy"] > 0.85
    assert [round(row["lr"], 6) for row in one.progress.history] == [0.1, 0.1, 0.01, 0.01]


@pytest.mark.parametrize("schedule", ["step", "plateau", "cosine"])
def test_resuming_at_any_step_ends_bit_for_bit_where_the_whole_run_does(schedule: str) -> None:
    saved: list[Any] = []
    whole = trainer(recipe(schedule=schedule), saved, [0.7, 0.5, 0.55, 0.4])
    whole.run()
    assert [state["step"] for state in saved] == [1, 2, 3, 4, 5, 6, 0] * 4  # after the last step, and after validation
    for place in (0, 3, 5, 6, 7, 15, 26):
        state = saved[place]
        resumed = trainer(recipe(schedule=schedule), None, [0.7, 0.5, 0.55, 0.4][state["epoch"] :])
        resumed.load_state(state)
        resumed.run()
        assert torch.equal(final(resumed), final(whole))
        kept = [{key: value for key, value in row.items() if "second" not in key} for row in resumed.progress.history]
        assert kept == [{key: v for key, v in row.items() if "second" not in key} for row in whole.progress.history]


def test_gradients_that_are_accumulated_are_the_batchs() -> None:
    one, pieces = trainer(recipe()), trainer(recipe(accumulate=3))
    one.run()
    pieces.run()
    assert torch.allclose(final(one), final(pieces), atol=1e-5)
    assert not torch.allclose(final(one), final(trainer(recipe())), atol=1e-2)


def test_the_best_epoch_is_kept_and_training_stops_without_a_better_one() -> None:
    saved: list[Any] = []
    one = trainer(recipe(epochs=9, patience=2), saved, [0.6, 0.3, 0.4, 0.5, 0.1])
    one.run()
    assert [row["epoch"] for row in one.progress.history] == [1, 2, 3, 4]
    after_second = next(state for state in saved if state["epoch"] == 2)["best"]
    assert after_second["epoch"] == 2
    expected = torch.cat([tensor.flatten() for tensor in after_second["tensors"].values()])
    assert torch.equal(final(one), expected)


@pytest.mark.parametrize(("lr", "validation"), [(1e30, ()), (0.1, (0.5, float("nan"))), (0.1, (0.5, 1e9))])
def test_a_run_that_has_diverged_ends_with_words_and_saves_nothing_of_it(
    lr: float, validation: Sequence[float]
) -> None:
    saved: list[Any] = []
    with pytest.raises(ModelError, match=r"diverged in epoch \d: the loss is .* Nothing is exported"):
        trainer(recipe(lr=lr), saved, validation).run()
    assert all(torch.isfinite(value) for state in saved for value in torch.tensor(state["sums"]))


def test_the_end_of_every_epoch_is_saved_before_and_after_validation() -> None:
    """With two minutes between checkpoints an epoch's end, or Ctrl-C in its last step, was lost."""
    saved: list[Any] = []
    one = trainer(recipe(), saved)
    one.save_every_s = 1e9
    one.run()
    assert [(state["epoch"], state["step"]) for state in saved] == [(1, 0), (2, 0), (3, 0), (4, 0)]


def test_an_interruption_in_the_last_step_loses_nothing() -> None:
    saved: list[Any] = []
    one = trainer(recipe(), saved)
    one.save_every_s, one.validate = 1e9, lambda: pytest.fail("it went on to validate")
    steps: list[int] = []
    backward = one._backward

    def interrupt(*arguments: Any) -> None:
        backward(*arguments)
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    one._backward = interrupt  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert [(state["epoch"], state["step"]) for state in saved] == [(0, 6)]


def test_batch_norm_keeps_the_statistics_of_the_base_however_a_batch_is_divided() -> None:
    def run(accumulate: int, *, learns: bool = False) -> Trainer:
        layers = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), RowDropout(0.3, 1), nn.Linear(5, 2)]
        made = trainer(recipe(accumulate=accumulate))
        with torch.no_grad():
            for layer, parameter in enumerate(p for one in layers for p in one.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(layer)))
        whole = nn.Sequential(*layers)
        made.network = CutNetwork(whole, made.network.frozen, whole, learns)
        made.optimizer = make_optimizer(made.network, made.recipe)
        made.scheduler = make_scheduler(made.optimizer, made.recipe)
        made._trained = whole
        made.run()
        return made

    whole, divided = run(1), run(4)
    assert torch.allclose(final(whole), final(divided), atol=1e-4)
    assert not whole.network.whole.state_dict()["1.running_mean"].any()
    assert run(1, learns=True).network.whole.state_dict()["1.running_mean"].any()


def test_classes_that_count_the_same_pull_the_same() -> None:
    uneven = [one for one in SAMPLES if one.class_index == 0 or one.index < 5]

    def answered(class_weights: str) -> float:
        one = trainer(recipe(class_weights=class_weights, lr=0.02, epochs=2))
        one.samples = uneven
        one._class_weights = one._weigh_classes()
        one.run()
        (inputs,) = Points().batches(None, [SAMPLES])
        return float(torch.softmax(one.network.trained.eval()(inputs), 1)[:, 1].mean().detach())

    assert answered("balanced") > answered("none") + 0.02


def test_the_rate_rises_while_warming_up_and_is_the_schedules_after() -> None:
    one, rates = trainer(recipe(warmup_epochs=1, epochs=2)), []
    step = one.scaler.step

    def noting(optimizer: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer)

    one.scaler.step = noting  # type: ignore[method-assign]
    one.run()
    assert rates[:6] == pytest.approx([0.1 * n / 6 for n in range(1, 7)])
    assert rates[6:] == pytest.approx([0.1] * 6)
