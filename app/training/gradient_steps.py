"""Training by gradient steps, where more than the head is learnt."""

import logging
from collections.abc import Callable
from dataclasses import asdict

import torch

from app.training.checkpoint import CheckpointFile
from app.training.features import tensors_digest
from app.training.frozen_side import feature_facts
from app.training.loop import Trainer, gather_logits
from app.training.run import Run
from app.training.scores import nll, top_share
from app.training.sources import Source

logger = logging.getLogger(__name__)


def train(run: Run, source: Source, answers: Source, checkpoint: CheckpointFile) -> Trainer:
    """Train, or go on training, and leave the best epoch's weights in the network."""
    options = run.options
    trainer = Trainer(
        run.network,
        options.recipe,
        source,
        run.split.part("train"),
        run.ranks,
        validate=validation(run, answers),
        save=checkpoint.write,
        save_every_s=options.checkpoint_seconds,
    )
    if options.resume:
        resume(trainer, checkpoint)
    trainer.run()
    return trainer


def validation(run: Run, answers: Source) -> Callable[[], tuple[float, float]]:
    """What measures accuracy and NLL on the part that chooses the best epoch."""
    samples = run.split.part("validation")
    targets = torch.tensor([sample.class_index for sample in samples])

    def validate() -> tuple[float, float]:
        logits = gather_logits(run.network, answers, samples, run.options.feature_batch_size, run.ranks)
        return top_share(logits, targets).value, nll(logits, targets)

    return validate


def resume(trainer: Trainer, checkpoint: CheckpointFile) -> None:
    """Take up the state of an interrupted run, if there is one."""
    state = checkpoint.read()
    if state is None:
        logger.info("There is no checkpoint to resume from: training starts at the beginning.")
        return
    trainer.load_state(state)
    logger.info("Resuming in epoch %d, after %d steps.", state["epoch"] + 1, state["step"])


def checkpoint_file(run: Run) -> CheckpointFile:
    """Where this run's state lies; settings that do not change the result are no part of its fingerprint."""
    facts = {name: str(value) for name, value in asdict(run.options.recipe).items()} | {
        "train": run.options.train,
        "augment": run.options.augment,
        "scale": run.options.scale,
        "base": tensors_digest(run.network.whole.state_dict()),
        "data": run.split.sha256,
        "cache": str(run.options.cache_features),
        "torch": str(torch.__version__),
    }
    facts |= {name: str(fact) for name, fact in feature_facts(run).items() if name not in ("tensors", "cut")}
    return CheckpointFile(run.work / run.options.name / "checkpoint.pt", facts)
