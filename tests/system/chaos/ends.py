"""How a process may end: told to stop under load, by a network that hangs, killed."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from tests.system.chaos.faults import one_color, send_raw
from tests.system.chaos.storm import complaints
from tests.system.load.bar import steps_bar
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome, in_words
from tests.system.load.servers import RunningServer, start_simulated
from tests.system.load.simulated import HANG
from tests.system.load.uploads import Upload

# Refused for a reason that the service gave, or never accepted: neither is a loss.
NO_LOSS = frozenset({"200", "429", "503", "ConnectionRefusedError"})
LEAVING = {"VGG_DRAIN_DELAY_S": "0.5", "VGG_MAX_QUEUE_DELAY_S": "30"}


def stop_under_load(uploads: Sequence[Upload], times: int, fronts: int) -> list[str]:
    """SIGTERM in the middle of traffic: everything accepted is answered, and the exit status is 0."""
    failures = []
    total: Counter[str] = Counter()
    with steps_bar(times, "stop") as bar:
        for _ in range(times):
            with start_simulated("ours", 4, 0.35, **LEAVING, VGG_FRONTS=str(fronts)) as server:
                outcome = asyncio.run(terminate_amid(server, uploads))
                status = server.process.wait(30)
            total += outcome.statuses
            lost = Counter({what: count for what, count in outcome.statuses.items() if what not in NO_LOSS})
            if lost or outcome.wrong or status:
                failures.append(
                    f"stopped under load: {in_words(lost) or 'none'} lost, {outcome.wrong} wrong, {status=}"
                )
            bar.update()
    print(f"SIGTERM under load, VGG_FRONTS={fronts}, {times} times: {in_words(total)}")
    return failures


async def terminate_amid(server: RunningServer, uploads: Sequence[Upload]) -> Outcome:
    stop = asyncio.Event()
    load = asyncio.create_task(closed_loop(server.port, uploads, 16, 60, stop=stop))
    await asyncio.sleep(1)
    server.process.terminate()
    await asyncio.to_thread(server.process.wait, 30)
    stop.set()
    return await load


def hang_kill_and_restart(uploads: Sequence[Upload]) -> list[str]:
    """A forward pass that never ends stops the process; SIGKILL leaves nothing in the way of the next one."""
    failures = []
    with start_simulated("ours", 4, 0.35, VGG_FORWARD_TIMEOUT_S="1", VGG_FRONTS="0") as server:
        asyncio.run(send_raw(server.port, Upload(one_color(HANG), 0).request("/predict", raw=True), 5))
        status = server.process.wait(30)
    print(f"a forward pass that never ends: exit status {status}")
    if status != 1:
        failures.append(f"a hanging network: exit status {status} instead of 1")
    with start_simulated("ours", 4, 0.35) as server:
        server.process.kill()
        server.process.wait(10)
    began = time.perf_counter()
    with start_simulated("ours", 4, 0.35) as server:
        outcome = asyncio.run(closed_loop(server.port, uploads, 4, 1))
    print(f"after SIGKILL and a restart: {in_words(outcome.statuses)} within {time.perf_counter() - began:.1f} s")
    return failures + complaints("after a restart", outcome)
