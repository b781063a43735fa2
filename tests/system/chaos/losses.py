"""The service's processes are killed and stopped under load: who loses what."""

import asyncio
import math
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import psutil

from tests.system.chaos.storm import GOOD_CONNECTIONS, complaints
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome, in_words
from tests.system.load.servers import RunningServer, start_simulated
from tests.system.load.uploads import Upload

Found = TypeVar("Found")

PATIENCE_S = 60.0
SETTINGS = {"VGG_MAX_QUEUE_DELAY_S": "60"}  # a service without decoders for some seconds refuses nobody
DEADLINE_MS = 1500


class Blow(NamedTuple):
    """Something done to one process. ``may_cost``: what may become of ``most`` requests, those that it has."""

    name: str
    strike: Callable[[RunningServer, random.Random], psutil.Process | None]
    headers: str = ""
    may_cost: frozenset[str] = frozenset()
    most: float = 1


def _to_a_decoder(number: int) -> Callable[[RunningServer, random.Random], psutil.Process | None]:
    def strike(server: RunningServer, dice: random.Random) -> psutil.Process | None:
        decoders = server.decoders
        return sent(number, dice.choice(decoders)) if decoders else None

    return strike


def _kill_the_fork_server(server: RunningServer, _: random.Random) -> psutil.Process | None:
    found = server.fork_servers if server.decoders else []  # that are up
    return sent(signal.SIGKILL, found[0]) if found else None


def _stop_the_fork_server(server: RunningServer, dice: random.Random) -> psutil.Process | None:
    """It is missed as soon as there is something to do for it: a decoder is killed as well."""
    found, decoders = server.fork_servers, server.decoders
    if not found or not decoders or sent(signal.SIGSTOP, found[0]) is None:
        return None
    sent(signal.SIGKILL, dice.choice(decoders))
    return found[0]


def _kill_a_front(server: RunningServer, dice: random.Random) -> psutil.Process | None:
    return sent(signal.SIGKILL, dice.choice(server.fronts))


def _kill_the_network(server: RunningServer, _: random.Random) -> psutil.Process | None:
    network = server.network
    return sent(signal.SIGKILL, network) if network else None


def sent(number: int, process: psutil.Process) -> psutil.Process | None:
    """The process, if it was still there for the signal."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
        return process
    return None


BLOWS = (
    Blow("decoder killed", _to_a_decoder(signal.SIGKILL)),
    Blow(
        "decoder stopped", _to_a_decoder(signal.SIGSTOP), f"X-Request-Timeout-Ms: {DEADLINE_MS}\r\n", frozenset({"504"})
    ),
    Blow("fork server killed", _kill_the_fork_server),
    Blow("fork server stopped", _stop_the_fork_server),
)
# Its connections break; nobody else notices. Without models the whole service says so until they are there again.
BROKEN = frozenset({"ConnectionResetError", "IncompleteReadError"})
BLOWS_TO_FRONTS = (
    Blow("front killed", _kill_a_front, may_cost=BROKEN, most=GOOD_CONNECTIONS),
    Blow("network killed", _kill_the_network, may_cost=frozenset({"503"}), most=math.inf),
)


def losses(uploads: Sequence[Upload], times: int, seed: int) -> list[str]:
    """Each blow so many times, one after the other, under load; a process is waited for until it is gone."""
    print("what                times  lost  longest ms  answers")
    failures = []
    for fronts, blows in (("0", BLOWS), ("2", BLOWS + BLOWS_TO_FRONTS)):
        print(f"VGG_FRONTS={fronts}")
        with start_simulated("ours", 2, 0.2, **SETTINGS, VGG_FRONTS=fronts) as server:
            for blow in blows:
                struck, good = asyncio.run(_beside(server, uploads, blow, times, random.Random(seed)))
                lost = good.statuses.total() - good.statuses["200"]
                longest = 1000 * max(good.latencies, default=float("nan"))
                print(f"{blow.name:19} {struck:5} {lost:5} {longest:11.0f}  {in_words(good.statuses)}")
                failures += objections(blow, struck, times, good)
            afterwards = asyncio.run(closed_loop(server.port, uploads, GOOD_CONNECTIONS, 2))
            failures += complaints("good requests after all blows", afterwards)
    return failures


def objections(blow: Blow, struck: int, times: int, good: Outcome) -> list[str]:
    """What was lost that should not have been."""
    found = [f"{blow.name}: only {struck} of {times} processes came back"] if struck < times else []
    said = Counter({what: count for what, count in good.statuses.items() if what in blow.may_cost})
    forgiven = Counter(islice(said.elements(), int(min(said.total(), blow.most * struck))))
    rest = Outcome(latencies=good.latencies, statuses=good.statuses - forgiven, wrong=good.wrong)
    return found + complaints(f"good requests beside {blow.name}", rest)


async def _beside(
    server: RunningServer, uploads: Sequence[Upload], blow: Blow, times: int, dice: random.Random
) -> tuple[int, Outcome]:
    """How many processes were struck and are gone, and what became of the requests beside it."""
    stop = asyncio.Event()
    load = closed_loop(server.port, uploads, GOOD_CONNECTIONS, 3600, headers=blow.headers, stop=stop)
    good = asyncio.create_task(load)
    struck, whole = 0, _shape(server)
    for _ in range(times):
        await asyncio.sleep(dice.uniform(0.2, 0.4))
        victim = await _until(lambda: blow.strike(server, dice))
        if victim and await _until(partial(_is_gone, victim)) and await _until(lambda: _shape(server) == whole):
            struck += 1
    struck -= not await _until(lambda: len(server.decoders) > 0)
    await asyncio.sleep(0.5)
    stop.set()
    return struck, await good


def _shape(server: RunningServer) -> tuple[int, bool]:
    """How many fronts there are, and whether there is a process for the network."""
    return len(server.fronts), server.network is not None


def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running()


async def _until(asked: Callable[[], Found]) -> Found | None:
    """What it comes to, as soon as it comes to something."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await asyncio.to_thread(asked)):
                await asyncio.sleep(0.02)
            return found
    return None
