"""Each flood with good requests beside it: they are answered as ever, memory stays flat, and /livez answers at once."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from app.decoding.buffers import KEPT_BYTES, KEPT_PLACES
from app.settings import CHECKOUT
from tests.system.chaos.floods import ADMIN_KEY, CLIENT_KEY, CLOSED, FLOODS, HELD_UP, OPEN, RESET
from tests.system.chaos.storm import GOOD_CONNECTIONS, MAX_GROWTH, complaints
from tests.system.load.client import Connection, closed_loop
from tests.system.load.memory import MIB
from tests.system.load.outcome import Outcome, in_words
from tests.system.load.servers import SIMULATED, RunningServer, free_port, start
from tests.system.load.uploads import Upload

DESCRIPTORS = 256
MAX_LIVE_S = 1.0
MAX_PEAK = 1.25  # uploads in flight are held while they last; what stays is bounded by MAX_GROWTH
PLACES_MIB = KEPT_PLACES * KEPT_BYTES / MIB  # beside both: what places for uploads keep when they are free
PROBE_EVERY_S = 0.05
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KEY = f"X-API-Key: {CLIENT_KEY}\r\n"
SETTINGS = {
    "VGG_UPLOAD_TIMEOUT_S": "1", "VGG_MAX_QUEUE_DELAY_S": "30", "VGG_MAX_UPLOAD_MB": "4",
    "VGG_API_KEYS": CLIENT_KEY, "VGG_ADMIN_KEYS": ADMIN_KEY,
}  # fmt: skip
FEW_CONNECTIONS = {"VGG_MAX_CONNECTIONS": "64"}
SETTLING = ("endless_upgrade", "slow_readers")  # large uploads and files: what they take once is kept for the next
ENDED = frozenset({"400", RESET})
MAY_COME_BACK = {
    "endless_trailers": ENDED,
    "endless_extensions": ENDED,
    "endless_upgrade": frozenset({"413", "415", RESET, HELD_UP}),
    "pipelined": frozenset({"404", HELD_UP}),
    "half_open": frozenset({OPEN, CLOSED, RESET, "408", "429"}),
    "slow_heads": frozenset({OPEN, "408"}),
    "many_headers": ENDED,
    "slow_readers": frozenset({OPEN, "200", CLOSED, RESET}),
    "foreign_hosts": frozenset({"421"}),
    "parallel_loads": frozenset({"200", "403", "429"}),
}


@dataclass
class Beside:
    """What was seen while something went on."""

    good: Outcome = field(default_factory=Outcome)
    live_s: float = 0.0
    peak_mib: float = 0.0
    left_mib: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0

    def row(self, name: str, quiet: "Beside") -> str:
        p99, of = self.good.percentile_ms(99), quiet.good.percentile_ms(99)
        return (
            f"{name:18} {p99:6.1f} {p99 / of:5.1f} {1000 * self.live_s:7.0f} {self.peak_mib - quiet.peak_mib:+6.1f} "
            f"{self.left_mib - quiet.left_mib:+6.1f} {self.sent_bytes / 2**20:8.1f}  {in_words(self.answers)}"
        )


def siege(uploads: Sequence[Upload], seconds: float, *, short: bool) -> list[str]:
    """Every flood against a service with few descriptors; if not in short, also against one with few connections."""
    print("flood              p99 ms times live ms   peak   left sent MiB  what came back")
    failures = _besieged(uploads, seconds, f"ulimit -n {DESCRIPTORS} && ", SETTINGS)
    return failures if short else failures + _besieged(uploads, seconds, "", SETTINGS | FEW_CONNECTIONS)


def _besieged(uploads: Sequence[Upload], seconds: float, before: str, settings: dict[str, str]) -> list[str]:
    failures = []
    serve = ["bash", "-c", f'{before}exec "$@"', "bash", sys.executable, "-m", SIMULATED["ours"].module, "2", "0.2"]
    with start(serve, free_port(), **settings) as server:
        for name in (None, *SETTLING):
            asyncio.run(beside(server, uploads, max(0.5, seconds / 2), name))
        quiet = asyncio.run(beside(server, uploads, max(2.0, seconds), None))
        print(quiet.row("quiet", quiet))
        for name in FLOODS:
            seen = asyncio.run(beside(server, uploads, seconds, name))
            print(seen.row(name, quiet))
            failures += complaints(f"good requests beside {name}", seen.good)
            failures += objections(name, seen, quiet)
    return failures


def objections(name: str, seen: Beside, quiet: Beside) -> list[str]:
    """What a flood has done that it should not have been able to do."""
    found = [f"{name}: {count} x {what}" for what, count in seen.answers.items() if what not in MAY_COME_BACK[name]]
    if seen.live_s > MAX_LIVE_S:
        found.append(f"{name}: /livez took {seen.live_s:.1f} s")
    if seen.peak_mib > MAX_PEAK * quiet.peak_mib + PLACES_MIB:
        found.append(f"{name}: memory rose from {quiet.peak_mib:.0f} to {seen.peak_mib:.0f} MiB")
    if seen.left_mib > MAX_GROWTH * quiet.left_mib + PLACES_MIB:
        found.append(f"{name}: memory grew from {quiet.left_mib:.0f} to {seen.left_mib:.0f} MiB")
    return found


async def beside(server: RunningServer, uploads: Sequence[Upload], seconds: float, flood: str | None) -> Beside:
    """Good requests, somebody who asks for /livez, and the service's memory, while a flood goes on, or nothing."""
    seen = Beside()
    stop = asyncio.Event()
    good = asyncio.create_task(closed_loop(server.port, uploads, GOOD_CONNECTIONS, 600, stop=stop, headers=KEY))
    probe = asyncio.create_task(_probe(server, seen, stop))
    if flood is None:
        await asyncio.sleep(seconds)
    else:
        answers, seen.sent_bytes = await _inflict(flood, server.port, seconds)
        seen.answers = Counter(answers)
    stop.set()
    seen.good = await good
    await probe
    seen.left_mib = server.memory_mib()
    return seen


async def _inflict(flood: str, port: int, seconds: float) -> tuple[dict[str, int], int]:
    command = [sys.executable, "-m", "tests.system.chaos.floods", flood, str(port), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
    words, _ = await process.communicate()
    answers, sent_bytes = json.loads(words)
    return answers, sent_bytes


async def _probe(server: RunningServer, seen: Beside, stop: asyncio.Event) -> None:
    while not stop.is_set():
        began = time.perf_counter()
        if not await _is_live(server.port):
            began = -float("inf")
        seen.live_s = max(seen.live_s, time.perf_counter() - began)
        seen.peak_mib = max(seen.peak_mib, await asyncio.to_thread(server.memory_mib))
        await asyncio.sleep(PROBE_EVERY_S)


async def _is_live(port: int) -> bool:
    """On a connection of its own, as a supervisor asks."""
    connection = Connection(port)
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(10 * MAX_LIVE_S):
            status, _ = await connection.post(LIVE)
            return status == 200
    return False
