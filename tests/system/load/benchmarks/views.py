"""Many views beside single requests: what a request of 150 views does to the others' waiting."""

import asyncio
import os
import statistics
from collections.abc import Sequence

from tqdm import tqdm

from tests.system.load.benchmarks.network import real_pixels, real_uploads
from tests.system.load.client import Connection, closed_loop
from tests.system.load.outcome import Outcome, describe
from tests.system.load.servers import MEASURE_ALL, start_service
from tests.system.load.uploads import Upload

QUERY = "evaluation=multi_crop&crops=5x5&scales=256,384,512"
VIEWS = 150


def measure_views(model_name: str, jpegs: list[bytes], connections: Sequence[int], seconds: float, rounds: int) -> None:
    """Single requests with and without one of 150 views running, in turns."""
    os.environ |= {"VGG_MODEL": model_name, "VGG_MODELS": model_name}
    model, pixels = real_pixels(model_name, jpegs)
    uploads = real_uploads(model, jpegs, pixels)
    alone: dict[int, list[Outcome]] = {count: [] for count in connections}
    beside: dict[int, list[Outcome]] = {count: [] for count in connections}
    begun: list[int] = []
    with start_service(**MEASURE_ALL) as server:
        for _ in tqdm(range(rounds), unit="round", disable=None):
            for count in connections:
                alone[count].append(asyncio.run(closed_loop(server.port, uploads, count, seconds)))
                outcome, finished = asyncio.run(_beside_views(server.port, uploads, count, seconds))
                beside[count].append(outcome)
                begun.append(finished)
    for count in connections:
        p95 = [statistics.median(one.percentile_ms(95) for one in found[count]) for found in (alone, beside)]
        print(f"{count} connections, alone: {describe(alone[count])}")
        print(f"{count} connections, beside {VIEWS} views: {describe(beside[count])}")
        print(f"p95 of single requests: {p95[0]:.0f} ms alone, {p95[1]:.0f} ms beside: {p95[1] / p95[0]:.2f} x")
    print(f"requests of {VIEWS} views that were finished meanwhile: {sum(begun)}")


async def _beside_views(port: int, uploads: Sequence[Upload], count: int, seconds: float) -> tuple[Outcome, int]:
    """The single requests, while requests of many views follow each other; and how many of those were finished."""
    finished = 0

    async def keep_looking() -> None:
        nonlocal finished
        connection = Connection(port)
        request = uploads[0].request(f"/predict?{QUERY}", raw=False)
        while True:
            status, body = await connection.post(request)
            if status != 200:
                raise RuntimeError(f"{VIEWS} views were answered with {status}: {body[:200]!r}")
            finished += 1

    looking = asyncio.create_task(keep_looking())
    await asyncio.sleep(0.2)  # it is being looked at when the others come
    try:
        outcome = await closed_loop(port, uploads, count, seconds)
        if looking.done():
            looking.result()
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    return outcome, finished
