"""Is every batch size as fast as ever, the first time after the warm-up?"""

import asyncio
import statistics
from collections.abc import Iterator
from time import perf_counter

from app.model.registry import LoadedModel, run_gray
from app.serving.inference import network_batcher
from app.serving.lifecycle import Lifecycle
from app.serving.metrics import Metrics
from app.serving.warming import warm_up
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding

TIMES = 9
SLOWER = 1.2


def check(bench: Bench) -> Iterator[Finding]:
    """Warmed up as the service does it, on the thread that serves."""
    what = "no size is slow the first time"
    seconds = asyncio.run(_measure(bench.load()))
    ratios = {size: runs[0] / statistics.median(runs) for size, runs in seconds.items()}
    # What a later time took as well is no matter of being the first.
    slow = [size for size, runs in seconds.items() if ratios[size] > SLOWER and runs[0] > max(runs[1:])]
    worst = max(ratios, key=ratios.__getitem__)
    words = (
        f"{len(ratios)} sizes up to {max(ratios)}, slow: {slow}; the worst {ratios[worst]:.2f} x its median ({worst})"
    )
    if bench.is_cuda:
        yield Finding.judged("batches", what, not slow, words)
    else:  # other programs take the processor when they like
        yield Finding("batches", what, "info", words)


async def _measure(model: LoadedModel) -> dict[int, list[float]]:
    """Batch size -> seconds of each time."""
    batcher = network_batcher(Lifecycle(), Metrics(), max_wait_s=0)
    batcher.start()
    model = await warm_up(batcher, model)
    seconds: dict[int, list[float]] = {size: [] for size in model.warm_up if size <= model.max_batch_size}

    def run(size: int) -> None:
        began = perf_counter()
        run_gray(model, size)
        seconds[size].append(perf_counter() - began)

    for _ in range(TIMES):
        for size in seconds:
            await batcher.aside(model, run, size)
    await batcher.drain()
    return seconds
