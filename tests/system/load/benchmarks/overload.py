"""Three times more requests than can be answered: what is answered in time, and what memory does."""

import asyncio
from collections.abc import Sequence

from tests.system.load.bar import steps_bar
from tests.system.load.client import closed_loop, open_loop
from tests.system.load.outcome import Outcome, describe
from tests.system.load.servers import SIMULATED, start_simulated
from tests.system.load.simulated import FIXED_MS as FAST_FIXED_MS
from tests.system.load.simulated import PER_IMAGE_MS as FAST_PER_IMAGE_MS
from tests.system.load.simulated import SimulatedNetwork
from tests.system.load.uploads import with_answers

FIXED_MS, PER_IMAGE_MS, BATCH = 20.0, 5.0, 16
CAPACITY = BATCH / (FIXED_MS + PER_IMAGE_MS * BATCH) * 1000  # images per second
CONNECTIONS, CAPACITY_S = 64, 8.0
TIMES = 3


def measure_overload(jpegs: list[bytes], seconds: float, deadline_s: float) -> None:
    """The network is what is short. Goodput under three times the capacity, then how fast normal traffic is back."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    bar = steps_bar(6, "load")
    with start_simulated("ours", FIXED_MS, PER_IMAGE_MS, VGG_MAX_BATCH_SIZE=str(BATCH)) as server, bar:

        def load(times: float, duration_s: float) -> Outcome:
            outcome = asyncio.run(open_loop(server.port, uploads, times * CAPACITY, duration_s, deadline_s))
            bar.update()
            return outcome

        asyncio.run(closed_loop(server.port, uploads, BATCH, 3))
        bar.update()
        idle = server.memory_mib()
        # A full queue holds uploads; what it takes is bounded by the settings. What must not grow is that, over time.
        load(TIMES, 5)
        full = server.memory_mib()
        normal = load(0.3, 5)
        loaded = load(TIMES, seconds)
        after = server.memory_mib()
        recovered, settled = load(0.3, 2), load(0.3, 5)
    print(f"the network's capacity: {CAPACITY:.0f} images/s, in batches of {BATCH}")
    goodput = loaded.per_second / CAPACITY
    print(f"{TIMES} x overload for {seconds:g} s: goodput {goodput:.2f} of capacity; {describe([loaded])}")
    for name, outcome in (("before", normal), ("in the 2 s after", recovered), ("then", settled)):
        print(f"0.3 x capacity, {name}: {describe([outcome])}")
    print(f"memory: {idle:.0f} MiB before, {full:.0f} MiB after 5 s, ", end="")
    print(f"{after:.0f} MiB after {seconds:g} s more ({after / full - 1:+.0%})")


def compare_overload(names: Sequence[str], jpegs: list[bytes], seconds: float, deadline_s: float) -> None:
    """The processor is what is short. Each server's goodput, over what it does with as many callers as it likes."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    with steps_bar(2 * len(names), "load") as bar:
        for name in names:
            wire = SIMULATED[name].wire
            with start_simulated(name, FAST_FIXED_MS, FAST_PER_IMAGE_MS, VGG_MAX_BATCH_SIZE=str(BATCH)) as server:
                asyncio.run(closed_loop(server.port, uploads, BATCH, 2, wire=wire))
                began = server.cpu()
                full = asyncio.run(closed_loop(server.port, uploads, CONNECTIONS, min(CAPACITY_S, seconds), wire=wire))
                bar.update()
                between, rate = server.cpu(), TIMES * full.per_second
                loaded = asyncio.run(open_loop(server.port, uploads, rate, seconds, deadline_s, wire=wire))
                bar.update()
                quiet_cpu, loaded_cpu = between.since(began).all, server.cpu().since(between).all
            useful = quiet_cpu / max(1, len(full.latencies)) * len(loaded.latencies) / loaded_cpu
            print(f"{name}: {full.per_second:.0f} images/s with {CONNECTIONS} connections; ", end="")
            print(f"{TIMES} x that for {seconds:g} s: goodput {loaded.per_second / full.per_second:.2f}, ", end="")
            print(f"{useful:.2f} of its CPU for good answers, ", end="")
            print(f"last answer {max(0.0, loaded.seconds - seconds):.1f} s after; {describe([loaded])}")
