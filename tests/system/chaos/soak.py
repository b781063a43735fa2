"""Minutes of faults and good requests: what the process holds must stay flat."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.system.chaos.storm import MAX_GROWTH, STORM_SETTINGS, all_faults, complaints
from tests.system.load.bar import seconds_bar, update_to
from tests.system.load.client import closed_loop
from tests.system.load.servers import start_simulated
from tests.system.load.uploads import Upload


class Use(NamedTuple):
    """What a process holds."""

    memory_mib: float
    descriptors: int
    threads: int

    def __str__(self) -> str:
        return f"{self.memory_mib:.0f} MiB, {self.descriptors} file descriptors, {self.threads} threads"


def soak(uploads: Sequence[Upload], seconds: float, seed: int) -> list[str]:
    """Faults and good requests for a long time; what is held after a fifth of it is about what is held at the end."""
    uses: list[Use] = []
    failures = []
    with start_simulated("ours", 2, 0.2, **STORM_SETTINGS) as server:
        began = time.perf_counter()
        with seconds_bar(seconds, "soak") as bar:
            while (elapsed := time.perf_counter() - began) < seconds:
                update_to(bar, elapsed)
                failures += asyncio.run(all_faults(server, uploads, 1, seed + len(uses), say=lambda _: None))
                failures += complaints("good requests", asyncio.run(closed_loop(server.port, uploads, 16, 5)))
                time.sleep(1)  # what is being closed is closed
                uses.append(Use(server.memory_mib(), *server.descriptors_and_threads()))
    settled = uses[len(uses) // 5 :]
    for quarter in range(5):
        print(settled[quarter * (len(settled) - 1) // 4])
    first, last = (Use(*map(statistics.median, zip(*part, strict=True))) for part in (settled[:5], settled[-5:]))
    for name, early, late in zip(Use._fields, first, last, strict=True):
        print(f"{name}: {early:.0f} -> {late:.0f}")
        if late > MAX_GROWTH * early:
            failures.append(f"{name} grew from {early:.0f} to {late:.0f}")
    return failures
