"""Each fault with good requests beside it: these are answered, and nothing stays behind."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from tests.system.chaos.faults import FAULTS
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome, in_words
from tests.system.load.servers import RunningServer, start_simulated
from tests.system.load.uploads import Upload

GOOD_CONNECTIONS = 4
MAX_GROWTH = 1.1
STORM_SETTINGS = {"VGG_UPLOAD_TIMEOUT_S": "1", "VGG_MAX_QUEUE_DELAY_S": "30", "VGG_MAX_UPLOAD_MB": "4"}


def storm(uploads: Sequence[Upload], times: int, seed: int) -> list[str]:
    """Each fault with good requests beside it; at the end answers are still right and memory is where it was."""
    failures = []
    with start_simulated("ours", 2, 0.2, **STORM_SETTINGS) as server:
        asyncio.run(closed_loop(server.port, uploads, 16, 3))
        asyncio.run(all_faults(server, uploads, 1, seed + 1))  # memory settles after everything has been met once
        before = server.memory_mib()
        failures += asyncio.run(all_faults(server, uploads, times, seed))
        afterwards = asyncio.run(closed_loop(server.port, uploads, 16, 3))
        failures += complaints("good requests after all faults", afterwards)
        after = server.memory_mib()
    print(f"memory: {before:.0f} MiB before, {after:.0f} MiB after")
    if after > MAX_GROWTH * before:
        failures.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
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
        say(f"{fault.name}: {in_words(seen)}; good requests meanwhile: {in_words(outcome.statuses)}")
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
