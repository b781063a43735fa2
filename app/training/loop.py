"""The training loop: every step a function of (seed, epoch, step), so that a resumed run is the uninterrupted one.

Nothing draws from a global generator. The order of an epoch comes from (seed, epoch), augmentation from (seed, epoch,
index), dropout from (seed, epoch, step): there is no state of generators to save, and neither the number of processes
nor the point of interruption changes a draw.
"""

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from app.errors import ModelError
from app.training.batches import epoch_batches, pieces
from app.training.checkpoint import State
from app.training.cut import CutNetwork
from app.training.distributed import Ranks, cpu_copy
from app.training.mixing import mixed
from app.training.recipe import Recipe, make_optimizer, make_scheduler, seed_for, step_scheduler
from app.training.sources import Source
from app.training.split import Sample
from app.training.terminal import progress_bar

Row = dict[str, float]
Save = Callable[[State], None]
SUMMARY = (
    "epoch {epoch}: loss {train_loss:.4f}; validation {validation_accuracy:.2%}, NLL {validation_nll:.4f}; "
    "{seconds:.1f} s, {images_per_second:.1f} images/s"
)
DIVERGED = 100.0  # times the loss of guessing
logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a run stands: whole epochs, and steps of the one that is under way."""

    epoch: int = 0
    step: int = 0
    stale: int = 0
    history: list[Row] = field(default_factory=list)
    best: dict[str, Any] | None = None


class Trainer:
    """Trains one side of a network. ``validate`` gives accuracy and NLL on the part that chooses the best epoch."""

    def __init__(
        self,
        network: CutNetwork,
        recipe: Recipe,
        source: Source,
        samples: Sequence[Sample],
        ranks: Ranks,
        *,
        validate: Callable[[], tuple[float, float]],
        save: Save,
        save_every_s: float,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.source = source
        self.samples = samples
        self.ranks = ranks
        self.validate = validate
        self.save = save
        self.save_every_s = save_every_s
        self.optimizer = make_optimizer(network, recipe)
        self.scheduler = make_scheduler(self.optimizer, recipe)
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=recipe.amp)
        self.progress = Progress()
        self._trained = ranks.wrap(network.trained)
        # Of the epoch under way, in this process: loss, right answers, images.
        self._sums = torch.zeros(3, dtype=torch.float64, device=ranks.device)
        self._class_weights = self._weigh_classes()
        self._saved_at = time.monotonic()
        self._interrupted = False

    def _weigh_classes(self) -> Tensor | None:
        """(classes,): with "balanced" each counts the same, and a batch as much as without."""
        if self.recipe.class_weights == "none":
            return None
        targets = torch.tensor([sample.class_index for sample in self.samples])
        counts = torch.bincount(targets, minlength=self.network.head.out_features)
        return (len(targets) / (len(counts) * counts.clamp(min=1))).to(self.ranks.device)

    def run(self) -> None:
        """Train from where the progress stands to the end, then put the best epoch's weights back.

        SIGINT ends it between two steps, its state saved, with ``KeyboardInterrupt``.
        """
        with self._noting_sigint():
            while self.progress.epoch < self.recipe.epochs and not self._is_stale():
                self._epoch()
        assert self.progress.best is not None
        self.network.load_trained(self.progress.best["tensors"])

    def load_state(self, state: State) -> None:
        self.network.load_trained(state["tensors"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ranks.is_first:
            self._sums += torch.tensor(state["sums"], dtype=torch.float64).to(self._sums)
        self.progress = Progress(state["epoch"], state["step"], state["stale"], state["history"], state["best"])

    def _epoch(self) -> None:
        progress, began = self.progress, time.perf_counter()
        batches = epoch_batches(self.samples, self.recipe, progress.epoch)
        rest = batches[progress.step :]
        mine = [batch[self.ranks.share(len(batch))] for batch in rest]
        self.network.train_mode()
        inputs_of = self.source.batches(progress.epoch, mine)
        epoch = f"Epoch {progress.epoch + 1}/{self.recipe.epochs}"
        with progress_bar(epoch, len(batches), "step", done=progress.step) as bar:
            for batch, inputs, own in zip(rest, inputs_of, mine, strict=True):
                self._step(inputs, own, len(batch))
                progress.step += 1
                bar.update()
                self._save_if_due()
        self._end_epoch(time.perf_counter() - began, sum(map(len, rest)))
        self._save_if_due(epoch_ended=True)

    def _step(self, inputs: Tensor, own: Sequence[Sample], batch_size: int) -> None:
        """One update from one batch, in as many forward passes as ``accumulate`` says."""
        classes = torch.tensor([sample.class_index for sample in own], dtype=torch.long, device=inputs.device)
        offset = self.ranks.share(batch_size).start
        seed = seed_for(self.recipe.seed, self.progress.epoch, self.progress.step, 1)
        inputs, targets = mixed(self.recipe.mix, inputs, classes, self.network.head.out_features, seed)
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(pieces(len(own), self.recipe.accumulate))
        for number, piece in enumerate(parts):
            rows = slice(offset + piece.start, offset + piece.stop)
            for dropout in self.network.dropouts():
                dropout.set_step(seed, rows, batch_size)
            with self._synchronising(last=number == len(parts) - 1):
                self._backward(inputs[piece], targets[piece], batch_size)
        with self._warming_up():
            self.scaler.step(self.optimizer)
        self.scaler.update()

    def _backward(self, inputs: Tensor, targets: Tensor, batch_size: int) -> None:
        with torch.autocast(inputs.device.type, torch.float16, enabled=self.recipe.amp):
            logits = self._trained(inputs)
        smoothing, weights = self.recipe.label_smoothing, self._class_weights
        loss = cross_entropy(logits.float(), targets, weights, label_smoothing=smoothing, reduction="sum")
        # Processes are averaged, so that each counts by the rows it has, not by being one of several.
        torch.autograd.backward(self.scaler.scale(loss * self.ranks.world / batch_size))
        shown = targets if targets.ndim == 1 else targets.argmax(1)  # of a mixture, what there is most of
        right = (logits.argmax(1) == shown).sum()
        # Summed on the device: reading it here would make a GPU wait for every step.
        self._sums += torch.stack([loss.detach(), right, torch.full_like(right, len(targets))]).to(self._sums)

    @contextmanager
    def _warming_up(self) -> Iterator[None]:
        """One step at a share of the rate that the schedule says."""
        steps = math.ceil(len(self.samples) / self.recipe.batch_size)
        warmth = self.recipe.warmth(self.progress.epoch * steps + self.progress.step, steps)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * warmth
        yield
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _synchronising(self, *, last: bool) -> AbstractContextManager[None]:
        if isinstance(self._trained, DistributedDataParallel) and not last:
            return self._trained.no_sync()
        return nullcontext()

    def _end_epoch(self, seconds: float, seen: int) -> None:
        progress = self.progress
        loss, right, count = self.ranks.sum(self._sums.tolist())
        self._sums.zero_()
        rate = self.optimizer.param_groups[0]["lr"]
        self._require_sense(loss / count)
        accuracy, nll = self.validate()
        self._require_sense(nll)
        progress.epoch, progress.step = progress.epoch + 1, 0
        row = {
            "epoch": progress.epoch,
            "lr": rate,
            "train_loss": loss / count,
            "train_accuracy": right / count,
            "validation_accuracy": accuracy,
            "validation_nll": nll,
            "seconds": round(seconds, 2),
            "images_per_second": round(seen / seconds, 1),
        }
        progress.history.append(row)
        logger.info(SUMMARY.format(**row))
        self._keep_best(accuracy, nll)
        step_scheduler(self.scheduler, nll)

    def _require_sense(self, loss: float) -> None:
        """Raises ``ModelError`` when a mean loss is infinite, no number, or beyond all that training passes through."""
        if not math.isfinite(loss) or loss > DIVERGED * math.log(1 + self.network.head.out_features):
            raise ModelError(
                f"Training has diverged in epoch {self.progress.epoch + 1}: the loss is {loss:.4g}. "
                f"Nothing is exported. Try a lower --lr than {self.recipe.lr:g}."
            )

    def _keep_best(self, accuracy: float, nll: float) -> None:
        """The lowest NLL is the best: of a hundred images, right answers are too coarse a measure to choose by."""
        best = self.progress.best
        if best is None or nll < best["nll"]:
            tensors = cpu_copy(self.network.trained_tensors())
            self.progress.best = {"epoch": self.progress.epoch, "accuracy": accuracy, "nll": nll, "tensors": tensors}
            self.progress.stale = 0
        else:
            self.progress.stale += 1

    def _is_stale(self) -> bool:
        return 0 < self.recipe.patience <= self.progress.stale

    def _save_if_due(self, *, epoch_ended: bool = False) -> None:
        """Between two steps, and after every epoch; the first process looks at its clock for all."""
        interrupted = self.ranks.agree(self._interrupted)
        due = epoch_ended or interrupted or time.monotonic() - self._saved_at >= self.save_every_s
        if self.ranks.agree(due):
            self._save()
        if interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def _noting_sigint(self) -> Iterator[None]:
        """In the middle of a step there is no state worth saving. Handlers are the main thread's to set."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(_sig: int, _frame: FrameType | None) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _save(self) -> None:
        progress = self.progress
        sums = self.ranks.sum(self._sums.tolist())
        self._require_sense(sums[0] / max(1.0, sums[2]))
        if self.ranks.is_first:
            state = {
                "tensors": self.network.trained_tensors(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "scaler": self.scaler.state_dict(),
                "sums": sums,
            }
            self.save(state | vars(progress))
        self._saved_at = time.monotonic()


@torch.no_grad()
def gather_logits(
    network: CutNetwork, source: Source, samples: Sequence[Sample], batch_size: int, ranks: Ranks
) -> Tensor:
    """fp32 (N, classes), the same in every process and in the samples' order: each computes its share, none pads."""
    network.trained.eval()
    mine = samples[ranks.share(len(samples))]
    batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
    logits = [network.trained(inputs).float().cpu() for inputs in source.batches(None, batches)]
    return torch.cat([tensor for tensors in ranks.gather(logits) for tensor in tensors])
