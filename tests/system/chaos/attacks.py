"""Small files that cost much, and decoders that break over them, beside good requests: these must hardly notice."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.settings import CHECKOUT, Settings, read_settings
from tests.system.attacks.corpus import attacks
from tests.system.chaos.assault import Shot, shoot
from tests.system.chaos.breaking import break_decoders
from tests.system.chaos.storm import GOOD_CONNECTIONS, complaints
from tests.system.load.bar import seconds_bar, update_to
from tests.system.load.client import Connection, closed_loop
from tests.system.load.memory import MIB
from tests.system.load.outcome import Outcome, in_words, percentile_ms
from tests.system.load.servers import RunningServer, start_simulated
from tests.system.load.uploads import Upload

CPU_SHARE = 0.5  # what the attack may take of all cores
QUIET_S, SETTLED_S = 15.0, 10.0
LEAST_RATE, MOST_P99 = 0.45, 3.0  # times the quiet ones
METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# How a file may be answered: what it is, what is wrong with it, or that there was no time or room for it.
MAY_COME_BACK = frozenset(
    {
        "200", "413 too_costly", "413 too_many_pixels", "413 payload_too_large", "415 unsupported_media_type",
        "422 undecodable_image", "429 queue_full", "429 too_many_requests", "504 deadline_exceeded",
    }
)  # fmt: skip


@dataclass
class Attacked:
    """What was seen during the attack, and in ``quiet`` before it."""

    quiet: Outcome = field(default_factory=Outcome)
    good: Outcome = field(default_factory=Outcome)
    shots: list[Shot] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)
    quiet_mib: float = 0.0
    peak_mib: float = 0.0
    peak_buffer_mib: float = 0.0
    left_buffer_mib: float = 0.0
    cpu: float = 0.0
    """Cores that the server's processes took together."""

    @property
    def rate(self) -> float:
        """Good answers for each that there was when it was quiet; while files were being sent."""
        start, end = (pick(shot.sent for shot in self.shots) for pick in (min, max))
        answers = sum(start <= moment <= end for moment in self.good.moments)
        return answers / max(end - start, 1e-3) / self.quiet.per_second

    @property
    def p99(self) -> float:
        return self.good.percentile_ms(99) / self.quiet.percentile_ms(99)


def attack(uploads: Sequence[Upload], seconds: float, seed: int) -> list[str]:
    """The corpus with deadlines of every kind for so long, at half of what the machine can do."""
    settings = read_settings()
    files = list(attacks())
    with start_simulated("ours", 2, 0.2) as server:
        asyncio.run(closed_loop(server.port, uploads, 16, 3))
        costs = asyncio.run(costs_of(server, files))
        mean = sum(costs.values()) / len(costs)
        rate = CPU_SHARE * (os.cpu_count() or 1) / mean
        print(f"{len(files)} files, {mean:.2f} s of CPU on average, at most {max(costs.values()):.1f} s alone; "
              f"{rate:.1f} a second for {seconds:.0f} s")  # fmt: skip
        seen = asyncio.run(beside(server, uploads, rate, seconds, seed))
        afterwards = asyncio.run(closed_loop(server.port, uploads, GOOD_CONNECTIONS, 3))
    print_table(seen, costs)
    bound_mib = most_mib(settings)
    print(
        f"good requests: {seen.rate:.2f} of the quiet rate ({seen.quiet.per_second:.0f}/s), p99 "
        f"{seen.good.percentile_ms(99):.0f} ms, {seen.p99:.1f} of the quiet one; {in_words(seen.good.statuses)}"
    )
    print(f"decoders: {in_words(seen.broken) or 'none broken'}; {seen.cpu:.1f} cores taken")
    print(f"memory: {seen.quiet_mib:.0f} MiB before, {seen.peak_mib:.0f} at most, of documented {bound_mib:.0f} more; "
          f"uploads: {seen.peak_buffer_mib:.0f} MiB at most, {seen.left_buffer_mib:.0f} at the end")  # fmt: skip
    return objections(seen, bound_mib) + complaints("good requests after the attack", afterwards)


async def costs_of(server: RunningServer, files: Sequence[tuple[str, bytes]]) -> dict[str, float]:
    """Seconds of CPU that the server takes for each file, one after the other."""
    costs = {}
    for name, data in files:
        before = server.cpu()
        await shoot(server.port, name, data, None)
        costs[name] = server.cpu().since(before).all
    return costs


async def beside(server: RunningServer, uploads: Sequence[Upload], rate: float, seconds: float, seed: int) -> Attacked:
    """Good requests when it is quiet, then with the attack beside them."""
    seen, stop = Attacked(), asyncio.Event()
    command = [sys.executable, "-m", "tests.system.chaos.assault", *map(str, (server.port, rate, seconds, seed))]
    assault = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE)
    assert assault.stdout is not None
    await assault.stdout.readline()  # its files are made
    seen.quiet = await closed_loop(server.port, uploads, GOOD_CONNECTIONS, QUIET_S)
    seen.quiet_mib, before, began = server.memory_mib(), server.cpu(), time.monotonic()
    good = asyncio.create_task(closed_loop(server.port, uploads, GOOD_CONNECTIONS, 3600, stop=stop))
    watching = [
        asyncio.create_task(_watch(server, seen, seconds, stop)),
        asyncio.create_task(break_decoders(server, seen.broken, stop)),
    ]
    lines, _ = await assault.communicate(b"\n")
    seen.cpu = server.cpu().since(before).all / (time.monotonic() - began)
    stop.set()
    seen.good = await good
    await asyncio.gather(*watching)
    seen.shots = [Shot(*json.loads(line)) for line in lines.splitlines()]
    until = time.monotonic() + SETTLED_S
    while (left := await _buffer_mib(server)) and time.monotonic() < until:
        await asyncio.sleep(0.1)  # decoders that have hung to the last are being killed
    seen.left_buffer_mib = left
    return seen


async def _watch(server: RunningServer, seen: Attacked, seconds: float, stop: asyncio.Event) -> None:
    began = time.monotonic()
    with seconds_bar(seconds, "attack") as bar:
        while not stop.is_set():
            seen.peak_mib = max(seen.peak_mib, await asyncio.to_thread(server.memory_mib))
            seen.peak_buffer_mib = max(seen.peak_buffer_mib, await _buffer_mib(server))
            update_to(bar, time.monotonic() - began)
            await asyncio.sleep(0.2)


async def _buffer_mib(server: RunningServer) -> float:
    connection = Connection(server.port)
    _, body = await connection.post(METRICS)
    connection.close()
    (line,) = (line for line in body.splitlines() if line.startswith(b"upload_buffer_bytes "))
    return float(line.split()[1]) / MIB


def most_mib(settings: Settings) -> float:
    """What callers can make the service hold (docs/operations.md, "Memory")."""
    uploads = settings.max_buffer_mb + 32 + (0.2 * settings.max_connections + 0.3 * settings.max_queue_size) * 1e6 / MIB
    large = settings.max_pixels * 35 / MIB + 4 * settings.max_upload_mb
    return uploads + large + 3 * 105 * settings.decode_workers + 85


def print_table(seen: Attacked, costs: dict[str, float]) -> None:
    """The costliest first."""
    print("file                                                     CPU s times p99 ms  answers")
    for name, cost in sorted(costs.items(), key=lambda item: -item[1]):
        ours = [shot for shot in seen.shots if shot.name == name]
        near = [latency for shot in ours for latency in seen.good.between(shot.sent, shot.answered)]
        answers = in_words(Counter(shot.code for shot in ours))
        print(f"{name:56} {cost:5.2f} {len(ours):5} {percentile_ms(near, 99):6.0f}  {answers}")
    late = max(seen.shots, key=lambda shot: shot.late_s)
    print(f"{in_words(Counter(shot.code for shot in seen.shots))}; at most {late.late_s:.2f} s after its deadline")


def objections(seen: Attacked, bound_mib: float) -> list[str]:
    """What the attack has done that it should not have been able to do."""
    codes = Counter(shot.code for shot in seen.shots)
    found = [f"the attack: {count} x {code}" for code, count in codes.items() if code not in MAY_COME_BACK]
    found += complaints("good requests beside the attack", seen.good)
    if seen.rate < LEAST_RATE:
        found.append(f"good requests kept {seen.rate:.2f} of their rate")
    if seen.p99 > MOST_P99:
        found.append(f"the p99 of good requests was {seen.p99:.1f} times the quiet one")
    if seen.peak_mib - seen.quiet_mib > bound_mib:
        found.append(f"memory rose by {seen.peak_mib - seen.quiet_mib:.0f} MiB, beyond {bound_mib:.0f}")
    if seen.left_buffer_mib:
        found.append(f"{seen.left_buffer_mib:.1f} MiB of uploads are left")
    return found
