"""Starts the service's processes, replaces those that end, and tells them when to leave.

::

    supervisor ─┬─ front 1 ──── its fork server ── decoders
                ├─ front 2 ──── its fork server ── decoders
                └─ network      (one for a device: the models, once)

It does nothing else, so that nothing can happen to it: requests, images and models are its children's.
"""

import ctypes
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess
from types import FrameType

from app.server.run import FAILED, end_process
from app.serving.tally import Field, Tally

logger = logging.getLogger(__name__)

TICK_S = 0.5
# How long a process may give no sign of life. One whose machine is busy gives some.
SILENT_S = 15.0
# A process that ends sooner than that has not really started; so many in a row, and none ever will.
SHORT_S = 5.0
FAILED_STARTS = 5
LEAVING_S = 5.0  # for what a front does after its last request
PR_SET_PDEATHSIG = 1


@dataclass(eq=False)
class Child:
    """A process's part: ``run(start)`` is called in it, with the number of its start, and gives its exit status."""

    name: str
    row: int
    run: Callable[[int], int]
    process: ForkProcess | None = None
    starts: int = 0
    since: float = 0.0
    failed_starts: int = 0

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.exitcode is None


class Supervisor:
    """Of one ``network`` and several ``fronts``, each of which has one of ``listeners``."""

    def __init__(
        self, network: Child, fronts: Sequence[Child], listeners: Sequence[socket.socket], tally: Tally, leave_s: float
    ) -> None:
        self._network = network
        self._fronts = fronts
        self._listeners = listeners
        self._tally = tally
        self._leave_s = leave_s + LEAVING_S
        self._signals: list[int] = []
        self._leaving_since: float | None = None
        self._status = 0

    def run(self) -> int:
        """Until told to stop, or until nothing comes up any more; the exit status."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._note)
        gc.collect()
        gc.freeze()  # what is shared stays shared: no collection writes to it
        for child in self._children:
            self._start(child)
        while self._go_on():
            living = {child.process.sentinel: child for child in self._children if child.process and child.lives}
            ready = connection.wait([*living, woken], TICK_S)
            if woken in ready:
                os.read(woken, 4096)
            self._obey()
            for sentinel in ready:
                if sentinel in living:
                    self._ended(living[sentinel])
            self._look_after()
        return self._status

    @property
    def _children(self) -> list[Child]:
        return [self._network, *self._fronts]

    def _note(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        self._signals.append(sig)

    def _start(self, child: Child) -> None:
        child.starts += 1
        child.since = time.monotonic()
        self._tally.row(child.row)
        child.process = get_context("fork").Process(target=_be, args=(child, os.getpid()), name=child.name)
        child.process.start()
        row = self._tally.row(child.row)
        row.set(Field.PID, child.process.pid or 0)
        row.set(Field.STARTS, child.starts)

    # Its end

    def _go_on(self) -> bool:
        return any(child.lives for child in self._children)

    def _obey(self) -> None:
        while self._signals:
            sig = self._signals.pop(0)
            if self._leaving_since is None or sig == signal.SIGINT:
                self._leave(sig)

    def _leave(self, sig: int) -> None:
        """The fronts answer what they have accepted; the network's process ends after the last of them."""
        if self._leaving_since is None:
            self._leaving_since = time.monotonic()
            for listener in self._listeners:  # each front has its own, which closes with it
                listener.close()
        for front in self._fronts:
            _signal(front, sig)
        _signal(self._network, signal.SIGTERM)

    def _ended(self, child: Child) -> None:
        """Replace it, unless this is the end."""
        assert child.process is not None  # it has ended
        child.process.join()  # its descriptors are closed a moment before
        status = child.process.exitcode
        self._tally.row(child.row)
        if self._leaving_since is not None:
            self._status = self._status or int(bool(status))
            return
        quick = time.monotonic() - child.since < SHORT_S
        child.failed_starts = child.failed_starts + 1 if quick else 0
        failed = child is self._network and status == FAILED and not self._was_ready
        if failed or child.failed_starts >= FAILED_STARTS:
            logger.critical("Stopping: %s has ended (%s).", child.name, status)
            self._status = FAILED
            self._leave(signal.SIGINT)
            return
        logger.error("%s has ended (%s); starting another one.", child.name.capitalize(), status)
        self._start(child)

    def _look_after(self) -> None:
        """Kill what gives no sign of life, and what does not leave."""
        now = time.monotonic()
        if self._tally.get(Field.READY, self._network.row):
            self._was_ready = True
        for child in self._children:
            beat = self._tally.get(Field.BEAT_S, child.row)
            if child.lives and beat and now - beat > SILENT_S:
                logger.error("%s gives no sign of life.", child.name.capitalize())
                _signal(child, signal.SIGKILL)
            if child.lives and self._leaving_since is not None and now - self._leaving_since > self._leave_s:
                _signal(child, signal.SIGKILL)

    _was_ready = False


def _signal(child: Child, sig: int) -> None:
    if child.process is not None and child.process.pid and child.lives:
        with suppress(ProcessLookupError):
            os.kill(child.process.pid, sig)


def _be(child: Child, parent: int) -> None:
    """In the new process."""
    signal.set_wakeup_fd(-1)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signal.SIG_DFL)
    os.setsid()  # a Ctrl-C is for the supervisor
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        end_process(FAILED)
    try:
        status = child.run(child.starts)
    except Exception:
        logger.exception("%s has failed.", child.name.capitalize())
        status = FAILED
    end_process(status)
