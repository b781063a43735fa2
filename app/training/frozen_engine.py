"""The frozen side in the engine that is fastest on this processor: most of a run's time is spent in there."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from app.errors import ModelError
from app.model.engine_choice import wanted_engine
from app.model.engines import Engine, engines_for, with_engine
from app.model.golden import golden_pictures
from app.model.receipt import Receipt
from app.training.cut import CutNetwork

logger = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1e-3  # of features, over the largest of them


def take_engine(
    network: CutNetwork,
    architecture: str,
    crop: int,
    setting: str,
    *,
    receipts: Sequence[Receipt],
    device: torch.device,
) -> Engine:
    """Let the engine that is set or was measured in preparation compute the frozen side; says which one does then.

    ``setting`` and ``receipts`` are as ``wanted_engine`` has them. An engine whose features are not eager's is not
    taken, and the log says so. Raises ``ModelError`` when the one that was set is not installed.
    """
    engine = wanted_engine(setting, receipts, engines_for(architecture, device, "fp32"))
    normalise, *layers = network.frozen.layers
    if engine == "eager" or not layers:
        return "eager"
    try:
        quick = nn.Sequential(normalise, *with_engine(layers, engine))
        reason = disagreement(network.frozen.layers, quick, crop)
    except ModelError as error:
        reason = str(error)
    if reason is not None:
        logger.warning("%s does not compute the frozen layers, since %s.", engine, reason)
        return "eager"
    network.frozen.layers = quick
    return engine


@torch.inference_mode()
def disagreement(exact: nn.Module, other: nn.Module, crop: int) -> str | None:
    """What is wrong with another engine's features; ``None``: nothing."""
    pictures = torch.from_numpy(golden_pictures(crop)).permute(0, 3, 1, 2)
    ours: Tensor = exact(pictures)
    theirs: Tensor = other(pictures)
    if not torch.isfinite(theirs).all():
        return "its features are not finite"
    difference = float((ours - theirs).abs().max() / ours.abs().max().clamp_min(1e-12))
    return None if difference <= LARGEST_DIFFERENCE else f"a feature differs by {difference:.1e} of the largest"
