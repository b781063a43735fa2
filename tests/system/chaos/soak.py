"""Minutes of faults and good requests: what the process holds must stay flat."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from tqdm import tqdm

from tests.system.chaos.storm import MAX_GROWTH, STORM_SETTINGS, all_faults, complaints
from tests.system.load.client import closed_loop
from tests.system.load.servers import start_simulated
from tests.system.load.uploads import Upload

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} s"


class Use(NamedTuple):
    """What a process holds."""

    memory_mib: float
    descriptors: int
    threads: int


def soak(uploads: Sequence[Upload], seconds: float, seed: int) -> list[str]:
    """Faults and good requests for a long time; what is held after a fifth of it is about what is held at the end."""
    uses: list[Use] = []
    failures = []
    with start_simulated("ours", 2, 0.2, **STORM_SETTINGS) as server:
        began = time.perf_counter()
        with tqdm(total=round(seconds), desc="soak", bar_format=BAR) as progress:
            while (elapsed := time.perf_counter() - began) < seconds:
                progress.update(round(elapsed) - progress.n)
                failures += asyncio.run(all_faults(server, uploads, 1, seed + len(uses), say=lambda _: None))
                failures += complaints("good requests", asyncio.run(closed_loop(server.port, uploads, 16, 5)))
                time.sleep(1)  # what is being closed is closed
                uses.append(Use(server.private_mib(), *server.descriptors_and_threads()))
    settled = uses[len(uses) // 5 :]
    for quarter in range(5):
        print(settled[quarter * (len(settled) - 1) // 4])
    first, last = (Use(*map(statistics.median, zip(*part, strict=True))) for part in (settled[:5], settled[-5:]))
    for name, early, late in zip(Use._fields, first, last, strict=True):
        print(f"{name}: {early:.0f} -> {late:.0f}")
        if late > MAX_GROWTH * early:
            failures.append(f"{name} grew from {early:.0f} to {late:.0f}")
    return failures
