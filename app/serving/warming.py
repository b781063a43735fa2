"""A model's first forward passes, on the threads that are to serve it: before anybody waits for them."""

import logging
import time
from dataclasses import replace

from app.errors import BatchTooLarge, ModelError
from app.model.registry import LoadedModel, run_gray
from app.serving.inference import NetworkBatcher

logger = logging.getLogger(__name__)


async def warm_up(batcher: NetworkBatcher, model: LoadedModel) -> LoadedModel:
    """The model with every size run once, or with fewer images a batch where its largest ones do not fit the device.

    The batches of models that are being served come in between. Raises ``ModelError`` when not even one image fits.
    """
    began, largest = time.perf_counter(), 0
    for size in model.warm_up:
        try:
            await batcher.aside(model, run_gray, model, size)
        except BatchTooLarge:
            continue
        largest = max(largest, size)
    if not model.warm_up:
        return model
    if not largest:
        raise ModelError(f"Not even one image of {model.name!r} fits the memory of {model.device}.")
    if largest < model.max_batch_size:
        wanted = model.max_batch_size
        logger.warning("The memory of %s has room for batches of %d, not of %d.", model.device, largest, wanted)
        model = replace(model, max_batch_size=largest)
    logger.info("Warmed up %s, in %.1f s.", model.name, time.perf_counter() - began)
    return model
