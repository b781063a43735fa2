"""Real arithmetic: the service's images per second over the bare network's."""

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.load import load_model
from app.model.registry import LoadedModel
from app.settings import read_settings
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome, describe
from tests.system.load.servers import MEASURE_ALL, RunningServer, start_service
from tests.system.load.uploads import Upload


def measure_network(
    model_name: str, jpegs: list[bytes], connections: Sequence[int], seconds: float, rounds: int
) -> None:
    """The bare network's loop runs in this process, between the loads on the service."""
    os.environ |= {"VGG_MODEL": model_name, "VGG_MODELS": model_name}
    model, pixels = real_pixels(model_name, jpegs)
    uploads = real_uploads(model, jpegs, pixels)
    bare: dict[int, list[float]] = {size: [] for size in sorted({1, model.max_batch_size})}
    served: dict[int, list[Outcome]] = {count: [] for count in connections}
    with start_service(**MEASURE_ALL) as server:
        print(f"ready after {server.ready_s:.1f} s; {describe_memory(server)}")
        for _ in tqdm(range(rounds), unit="round", disable=None):
            for size, speeds in bare.items():
                speeds.append(bare_loop(model, pixels, size, seconds))
            for count, outcomes in served.items():
                outcomes.append(asyncio.run(closed_loop(server.port, uploads, count, seconds)))
        print(f"after the load: {describe_memory(server)}")
    for size, speeds in bare.items():
        print(f"bare network, batches of {size}: {statistics.median(speeds):.2f} images/s")
    best = [max(speeds) for speeds in zip(*bare.values(), strict=True)]
    for count, outcomes in served.items():
        ratio = statistics.median(o.per_second / b for o, b in zip(outcomes, best, strict=True))
        print(f"service, {count} connections: {ratio:.2f} of the bare network; {describe(outcomes)}")


def real_pixels(model_name: str, jpegs: list[bytes]) -> tuple[LoadedModel, Pixels]:
    """A model, and what it is shown of each photograph."""
    settings = read_settings()
    model = load_model(model_name, settings)
    reader, views = Reader(settings.max_pixels, exact=True), model.manifest.preprocessing.centre_crop()
    return model, np.concatenate([reader.read(jpeg, views).pixels for jpeg in jpegs])


def real_uploads(model: LoadedModel, jpegs: list[bytes], pixels: Pixels) -> list[Upload]:
    """With the answers that the model gives to them."""
    return [Upload(jpeg, top_class(model, picture)) for jpeg, picture in zip(jpegs, pixels, strict=True)]


def top_class(model: LoadedModel, pixels: Pixels) -> int:
    indices, _ = model.network.top_k(pixels[None], 1)
    return int(indices[0, 0])


def bare_loop(model: LoadedModel, pixels: Pixels, size: int, seconds: float) -> float:
    """Images per second of the network alone, fed from memory."""
    batches = itertools.cycle([np.resize(pixels[at:], (size, *pixels.shape[1:])) for at in range(0, len(pixels), size)])
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        model.network.top_k(next(batches), 5)
        images += size
    return images / (time.perf_counter() - began)


def describe_memory(server: RunningServer) -> str:
    return server.memory().describe()
