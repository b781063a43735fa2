"""Load a prepared model: its weights are checked against the receipt and put on the device."""

import logging
import time

import torch

from app.errors import ModelError
from app.model import memory
from app.model.dense import is_exact, places_of
from app.model.engine_choice import equip
from app.model.engines import Engine
from app.model.library import Library
from app.model.manifest import Preprocessing
from app.model.network import (
    UNMEASURED_BATCH_SIZE,
    TorchNetwork,
    build_network,
    device_kind,
    is_emulated,
    resolve_device,
    resolve_precision,
    synchronise,
)
from app.model.receipt import LaunchChoice
from app.model.registry import LoadedModel
from app.model.sharing import read_weights, shared_tensors
from app.settings import Settings

logger = logging.getLogger(__name__)


def load_model(name: str, settings: Settings) -> LoadedModel:
    """A model that is ready to be warmed up, on the thread that is to serve it: libraries keep plans and workspaces for
    each thread.

    Raises ``ModelError``: no manifest, not prepared, damaged, not those of its manifest, not fitting its labels or the
    device's memory, no such device, no such engine.
    """
    began = time.perf_counter()
    library = Library.from_settings(settings)
    manifest = library.manifest(name)
    labels = library.labels(manifest)
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    if is_emulated(precision, device):
        logger.warning("This processor has no instructions for %s: VGG_PRECISION=fp32 is faster.", precision)
    files = read_weights(library, manifest)
    receipt = files.own.receipt
    receipt.check(manifest, labels)  # here too: either may have been replaced since the service started
    launch = receipt.best_launch.get(device_kind(device, precision), LaunchChoice())  # CUDA has one engine

    def build() -> tuple[TorchNetwork, Engine]:
        tensors = shared_tensors(files, device, precision)
        network = build_network(manifest, tensors, len(labels), device, precision, way=launch.way)
        engine = equip(network, manifest, files, settings.cpu_engine, precision)
        look_at_places(network, manifest.preprocessing)
        return network, engine

    no_room = f"The memory of {device} has no room for {name!r} in {precision}."
    network, engine = memory.within(build, lambda _: ModelError(no_room))
    measured = receipt.best_batch_size.get(device_kind(device, precision, engine), UNMEASURED_BATCH_SIZE[device.type])
    max_batch_size = measured if settings.max_batch_size == "auto" else settings.max_batch_size
    synchronise(device)  # the thread that serves does not wait for what this one has begun
    loaded = f"{name} on {device} in {precision}, engine {engine}, batches of up to {max_batch_size}, {launch}"
    logger.info("Loaded %s, in %.1f s.", loaded, time.perf_counter() - began)
    return LoadedModel(
        manifest=manifest,
        labels=labels,
        network=network,
        weights_sha256=receipt.weights_sha256,
        device=str(device),
        precision=precision,
        max_batch_size=max_batch_size,
        engine=engine,
        dense=network.places is not None and network.places.dense,
        heatmap=network.places is not None,
        warm_up=sizes_to_warm_up(device.type, max_batch_size),
        in_flight=launch.in_flight,
    )


def look_at_places(network: TorchNetwork, preprocessing: Preprocessing) -> None:
    """Give a network its ``places``, if it has any that agree with its answers."""
    stock, crop = network.module.network, preprocessing.crop
    places = places_of(stock, crop)
    if places is not None and not places.dense:  # the windows are the same layers, and need no such proof
        ramp = torch.linspace(-2, 2, 3 * crop * crop, device=network.device).view(1, 3, crop, crop)
        probe = ramp.to(network.module.dtype).contiguous(memory_format=torch.channels_last)
        places = places if is_exact(places, stock, probe) else None
    network.places = places


def sizes_to_warm_up(device_type: str, max_batch_size: int) -> tuple[int, ...]:
    """On CUDA each size, since libraries look for a plan for each; elsewhere the two ends tell how fast it is.

    The largest comes first: the smaller ones live in the memory that it leaves behind.
    """
    sizes = range(max_batch_size, 0, -1)
    return tuple(sizes) if device_type == "cuda" else tuple(dict.fromkeys((sizes[0], 1)))
