"""Decoders that break over what they read: they crash, hang, or are ended by the system for want of memory.

Signals do to them what a fault would. They are for decoders that have long been at one file, never for one that may
have a photograph by now.
"""

import asyncio
import signal
import time
from collections import Counter
from contextlib import suppress
from itertools import cycle

import psutil

from tests.system.load.servers import RunningServer

LOOK_S = 0.1
EVERY_S = 2.0
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
    """Whether there was one that has been at its file for a while: it has worked, and not once waited for another."""
    before = {process: seen for process in server.decoders if (seen := _seen(process))}
    time.sleep(LOOK_S)
    for process, (waits, cpu_s) in before.items():
        now = _seen(process)
        if now and now[0] == waits and now[1] > cpu_s:
            with suppress(psutil.NoSuchProcess):
                return _send(process, waits, fate)
    return False


def _send(process: psutil.Process, waits: int, fate: signal.Signals) -> bool:
    process.suspend()
    time.sleep(LOOK_S / 10)
    seen = _seen(process)
    at_it = seen is not None and seen[0] <= waits + 1  # being stopped is a wait, too
    if at_it:
        process.send_signal(fate)
    if not at_it or fate != signal.SIGSTOP:
        process.resume()
    return at_it


def _seen(process: psutil.Process) -> tuple[int, float] | None:
    """How often it has waited, and seconds of CPU; ``None`` when it is gone or does not run."""
    with suppress(psutil.NoSuchProcess):
        if process.status() in (psutil.STATUS_RUNNING, psutil.STATUS_STOPPED):
            return process.num_ctx_switches().voluntary, sum(process.cpu_times()[:2])
    return None
