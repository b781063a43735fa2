"""The command behind ``scripts/chaos.py``."""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tqdm import tqdm

from tests.system.chaos.faults import FAULTS, one_color, send_raw
from tests.system.load.client import Outcome, closed_loop
from tests.system.load.servers import RunningServer, start_simulated
from tests.system.load.simulated import HANG, SimulatedNetwork
from tests.system.load.uploads import Upload, read_jpegs, with_answers

GOOD_CONNECTIONS = 4
MAX_GROWTH = 1.1
STORM_SETTINGS = {"VGG_UPLOAD_TIMEOUT_S": "1", "VGG_MAX_QUEUE_DELAY_S": "30", "VGG_MAX_UPLOAD_MB": "4"}
# Refused for a reason that the service gave, or never accepted: neither is a loss.
NO_LOSS = frozenset({"200", "429", "503", "ConnectionRefusedError"})


def main(text: str) -> int:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer of everything")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only good requests and faults, for so long")
    parser.add_argument("--seed", type=int, default=1, help="of the random faults (%(default)s)")
    arguments = parser.parse_args()
    uploads = with_answers(read_jpegs(None), SimulatedNetwork())
    if arguments.soak:
        failures = soak(uploads, 60 * arguments.soak, arguments.seed)
    else:
        failures = storm(uploads, 1 if arguments.short else 20, arguments.seed)
        failures += stop_under_load(uploads, 2 if arguments.short else 20)
        failures += hang_kill_and_restart(uploads)
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{len(failures)} failed" if failures else "all held")
    return bool(failures)


def storm(uploads: Sequence[Upload], times: int, seed: int) -> list[str]:
    """Each fault with good requests beside it; at the end answers are still right and memory is where it was."""
    failures = []
    with start_simulated("ours", 2, 0.2, **STORM_SETTINGS) as server:
        asyncio.run(closed_loop(server.port, uploads, 16, 3))
        asyncio.run(all_faults(server, uploads, 1, seed + 1))  # memory settles after everything has been met once
        before = server.private_mib()
        failures += asyncio.run(all_faults(server, uploads, times, seed))
        afterwards = asyncio.run(closed_loop(server.port, uploads, 16, 3))
        failures += complaints("good requests after all faults", afterwards)
        after = server.private_mib()
    print(f"memory of its own: {before:.0f} MiB before, {after:.0f} MiB after")
    if after > MAX_GROWTH * before:
        failures.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
    return failures


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
        with tqdm(total=round(seconds), unit="s", desc="soak") as progress:
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


async def all_faults(
    server: RunningServer, uploads: Sequence[Upload], times: int, seed: int, say: Callable[[str], object] = print
) -> list[str]:
    failures = []
    for fault in FAULTS:
        stop = asyncio.Event()
        good = asyncio.create_task(closed_loop(server.port, uploads, GOOD_CONNECTIONS, 600, stop=stop))
        seen: Counter[str] = Counter()
        for number in range(times):
            seen += await fault.inflict(server.port, seed * 1000 + number)
        stop.set()
        outcome = await good
        say(f"{fault.name}: {dict(seen)}; good requests beside: {dict(outcome.statuses)}")
        failures += complaints(f"good requests beside {fault.name}", outcome)
        failures += [f"{fault.name}: {count} x {what}" for what, count in seen.items() if what not in fault.expected]
    return failures


def complaints(name: str, outcome: Outcome) -> list[str]:
    """What is wrong with requests that should all have been answered."""
    found = [f"{name}: {count} x {status}" for status, count in outcome.statuses.items() if status != "200"]
    if outcome.wrong:
        found.append(f"{name}: {outcome.wrong} answers were for somebody else")
    if not outcome.latencies:
        found.append(f"{name}: none was answered")
    return found


def stop_under_load(uploads: Sequence[Upload], times: int) -> list[str]:
    """SIGTERM in the middle of traffic: everything accepted is answered, and the exit status is 0."""
    failures = []
    total: Counter[str] = Counter()
    for _ in range(times):
        with start_simulated("ours", 4, 0.35, VGG_DRAIN_DELAY_S="0.5", VGG_MAX_QUEUE_DELAY_S="30") as server:
            outcome = asyncio.run(terminate_amid(server, uploads))
            status = server.process.wait(30)
        total += outcome.statuses
        lost = {what: count for what, count in outcome.statuses.items() if what not in NO_LOSS}
        if lost or outcome.wrong or status:
            failures.append(f"SIGTERM under load: lost {lost}, {outcome.wrong} wrong, exit status {status}")
    print(f"SIGTERM under load, {times} times: {dict(total)}")
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
    with start_simulated("ours", 4, 0.35, VGG_FORWARD_TIMEOUT_S="1") as server:
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
    print(f"after SIGKILL and a restart: {dict(outcome.statuses)} within {time.perf_counter() - began:.1f} s")
    return failures + complaints("after a restart", outcome)
