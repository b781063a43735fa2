"""Memory that is really full: provoked, survived, and left behind."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from app.model.registry import Candidate, Item, LoadedModel, Seen, run, run_gray
from app.serving.inference import network_batcher
from app.serving.lifecycle import Lifecycle, State
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding

MIB = 2**20
SIZE = {"cuda": 64, "cpu": 48}  # images that are asked for at once
CPU_ROOM = 192 * MIB
CLOSE = 0.02  # of a probability, between a batch and an image alone
Answered = list[Candidate] | Seen


class Shrinks:
    """Hears of batches that did not fit."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch_released(self, reason: str, size: int) -> None:
        pass

    def batch_shrunk(self, size: int, /) -> None:
        self.sizes.append(size)


def check(bench: Bench) -> Iterator[Finding]:
    size = SIZE["cuda" if bench.is_cuda else "cpu"]
    model = bench.load(max_batch_size=size)
    photographs = run(model, [Item(pixels, 5) for pixels in bench.pixels])
    many = [number % len(photographs) for number in range(size)]
    items, expected = [Item(bench.pixels[number], 5) for number in many], [photographs[number] for number in many]
    yield asyncio.run(_fill(bench, model, items, expected))


async def _fill(bench: Bench, model: LoadedModel, items: list[Item], expected: list[Answered]) -> Finding:
    shrinks, lifecycle = Shrinks(), Lifecycle()
    batcher = network_batcher(lifecycle, shrinks, max_wait_s=1)
    batcher.start()
    await batcher.submit(model, items[0])  # its thread is there before there is no room for one
    with _little_room(bench, model):
        answers = await asyncio.gather(*(batcher.submit(model, item) for item in items), return_exceptions=True)
    right = sum(
        not isinstance(answer, BaseException) and _alike(answer.value, wanted)
        for answer, wanted in zip(answers, expected, strict=True)
    )
    after = await asyncio.to_thread(run, model, items)
    again = sum(map(_alike, after, expected))
    await batcher.drain()
    whole = lifecycle.state is not State.FAILED
    words = f"{right} of {len(items)} answered right, in batches shrunk to {shrinks.sizes}; "
    words += f"with room again {again} of {len(items)} in one batch"
    good = whole and right == again == len(items) and bool(shrinks.sizes)
    return Finding.judged("memory", "a batch too large is halved, nobody notices", good, words)


def _alike(one: Answered, other: Answered) -> bool:
    """Nearly the same probability of the best class, which is the same one unless it is a close call."""
    assert isinstance(one, list)
    assert isinstance(other, list)  # no views were asked for
    same = one[0].class_index == other[0].class_index or other[0].probability - other[1].probability < CLOSE
    return same and abs(one[0].probability - other[0].probability) <= CLOSE


@contextmanager
def _little_room(bench: Bench, model: LoadedModel) -> Iterator[None]:
    """Room for a part of the largest batch: a limit of torch's allocator on CUDA, on the CPU one of the process."""
    if bench.is_cuda:
        device = bench.torch_device
        least, most = (_needs(model, size, device) for size in (1, SIZE["cuda"]))
        total = torch.cuda.mem_get_info(device)[1]
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((least + (most - least) // 4) / total, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + CPU_ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _needs(model: LoadedModel, size: int, device: torch.device) -> int:
    """Bytes that torch reserves, weights included."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    run_gray(model, size)
    return torch.cuda.max_memory_reserved(device)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
