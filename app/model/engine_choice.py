"""Which engine a model gets: the one that was set or measured, and only if it answers as eager does."""

import logging
from collections.abc import Sequence

from torch import nn

from app.errors import ModelError
from app.model.engines import Engine, engines_for, is_installed, with_engine
from app.model.golden import disagreement, golden_logits
from app.model.manifest import Manifest
from app.model.network import TorchNetwork, processor_kind
from app.model.receipt import Receipt
from app.model.sharing import TRUNK, WeightsFiles, shared_trunk

logger = logging.getLogger(__name__)


def equip(network: TorchNetwork, manifest: Manifest, files: WeightsFiles, setting: str, precision: str) -> Engine:
    """Give a network its engine; says which one it has then.

    Raises ``ModelError`` when the one that was set is not installed.
    """
    receipts = [checked.receipt for checked in (files.own, files.base) if checked is not None]
    engine = wanted_engine(setting, receipts, engines_for(manifest.architecture, network.device, precision))
    if engine == "eager" or take(network, manifest, files, engine) is None:
        return engine
    return "eager"


def wanted_engine(setting: str, receipts: Sequence[Receipt], possible: Sequence[Engine]) -> Engine:
    """``setting`` is ``VGG_CPU_ENGINE``. What was not measured for a model was perhaps for its base: ``receipts`` are
    its own and then that one's."""
    measured = (receipt.best_engine.get(processor_kind()) for receipt in receipts)
    wanted = next(filter(None, measured), "eager") if setting == "auto" else setting
    engine: Engine = next((engine for engine in possible if engine == wanted), "eager")
    if is_installed(engine):
        return engine
    if setting == "auto":
        logger.warning("The fastest engine here is %s, which is not installed: it is an extra.", engine)
        return "eager"
    raise ModelError(f"VGG_CPU_ENGINE={engine} needs the package {engine}: install the extra {engine!r}.")


def take(network: TorchNetwork, manifest: Manifest, files: WeightsFiles, engine: Engine) -> str | None:
    """Let an engine compute a network's trunk if it passes the gate; otherwise the reason, which is logged as well."""
    layers = trunk_of(network)
    exact = golden_logits(network, manifest.preprocessing.crop)
    try:
        replace_trunk(network, shared_trunk(files, engine, lambda: with_engine(layers, engine)))
        reason = disagreement(exact, golden_logits(network, manifest.preprocessing.crop))
    except ModelError as error:
        reason = str(error)
    if reason is None:
        kept = network.tensors or {}
        network.tensors = {name: tensor for name, tensor in kept.items() if not name.startswith(TRUNK)}
        return None
    replace_trunk(network, layers)
    logger.warning("%s: %s is not used as its engine, since %s.", manifest.name, engine, reason)
    return reason


def trunk_of(network: TorchNetwork) -> nn.Sequential:
    layers = network.module.network.features
    assert isinstance(layers, nn.Sequential)  # engines are for VGGs
    return layers


def replace_trunk(network: TorchNetwork, trunk: nn.Module) -> None:
    network.module.network.features = trunk
