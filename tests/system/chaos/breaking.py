"""Decoders that break over what they read: they crash, hang, or are ended by the system for want of memory.

Signals do to them what a fault would. They are for decoders that have a large image in their hands, never for one that
may have a photograph by now: one that has taken so much memory ends with its image, and takes no other.
"""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from itertools import cycle

import psutil

from tests.system.load.memory import MIB
from tests.system.load.servers import RunningServer

LOOK_S, EVERY_S = 0.1, 2.0
LARGE_BYTES = 64 * MIB
FATES = {"crashed": signal.SIGSEGV, "hung": signal.SIGSTOP, "out of memory": signal.SIGKILL}


async def break_decoders(server: RunningServer, broken: Counter[str], stop: asyncio.Event) -> None:
    """One after the other, in every way by turns, until told to stop; ``broken`` counts."""
    for name, fate in cycle(FATES.items()):
        while not stop.is_set() and not await asyncio.to_thread(break_one, server, fate):
            await asyncio.sleep(LOOK_S)
        if stop.is_set():
            return
        broken[name] += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)


def break_one(server: RunningServer, fate: signal.Signals) -> bool:
    """Whether there was one with a large image."""
    with suppress(psutil.NoSuchProcess):
        most = max(map(_own_bytes, server.fork_servers), default=0) + LARGE_BYTES
        for process in server.decoders:
            if process.status() == psutil.STATUS_STOPPED or not _is_large(process, most):
                continue
            process.suspend()
            at_it = _is_large(process, most)
            if at_it:
                process.send_signal(fate)
            if not at_it or fate != signal.SIGSTOP:
                process.resume()
            return at_it
    return False


def _is_large(process: psutil.Process, most: int) -> bool:
    return _own_bytes(process) > most


def _own_bytes(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - memory.shared)
