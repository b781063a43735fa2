"""The decoders' processes, seen from the service: a fork server, and a socket to each decoder that it has made."""

import asyncio
import itertools
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from app.decoding.forkserver import KIND, Terms, launch
from app.decoding.messages import MESSAGE_BYTES, READY

logger = logging.getLogger(__name__)

# What a fork server may take to do what it is asked, on a busy machine, once it is up; and to come up.
SERVER_S, STARTING_S = 5.0, 60.0
WATCH_S = 0.5
FAILED_STARTS = 5


class Processes:
    """Makes and kills decoders, on one event loop; a decoder is known by its number.

    ``on_message(number, message)`` hears what a decoder says, ``on_end(number, status)`` that it has ended: ``status``
    is that of ``waitpid``, or ``None`` when it has never been ready, or when the fork server has ended, which takes its
    decoders along and is replaced. ``on_failure(reason)`` hears when nothing comes up any more.
    """

    def __init__(
        self,
        terms: Terms,
        on_message: Callable[[int, bytes], object],
        on_end: Callable[[int, int | None], object],
        on_failure: Callable[[str], object],
    ) -> None:
        self._terms = terms
        self._on_message, self._on_end, self._on_failure = on_message, on_end, on_failure
        self._numbers = itertools.count(1)
        self._connections: dict[int, socket.socket] = {}
        self._pids: dict[int, int] = {}
        self._asked: dict[int, float] = {}
        self._ready: set[int] = set()
        self._failed_starts = 0
        self._up = asyncio.Event()

    @property
    def pids(self) -> dict[int, int]:
        """Of those that are ready: number -> process id."""
        return {number: self._pids[number] for number in self._ready if number in self._pids}

    def start(self) -> None:
        """Launch the fork server, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._launch()

    async def ready(self) -> None:
        """Until the first decoder is ready."""
        await self._up.wait()

    def fork(self) -> int:
        """Make another decoder; it can be sent something at once, and reads it when it is there."""
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
        ours.setblocking(False)
        self._connections[number] = ours
        self._loop.add_reader(ours, self._hear, number)
        with theirs:
            self._ask(f"fork {number}", number, [theirs.fileno()])
        return number

    def send(self, number: int, message: bytes) -> None:
        try:
            self._connections[number].send(message)
        except OSError:  # it has ended, of which we shall hear
            logger.debug("Decoder %d does not listen.", number)

    def cpu_s(self, number: int) -> float:
        """Seconds of the processor that a decoder has taken so far; elsewhere than on Linux, of the clock."""
        pid = self.pids.get(number)
        if sys.platform != "linux" or pid is None:
            return time.monotonic()
        with suppress(OSError):  # it has ended, of which we shall hear
            return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3)
        return 0.0

    def kill(self, number: int) -> None:
        self._ask(f"kill {number}", number, [])

    def dismiss(self, number: int) -> None:
        """A decoder with nothing to do ends when nobody listens to it any more."""
        self._forget(number)

    async def close(self) -> None:
        """End them all."""
        self._hang_up()
        for number in list(self._connections):
            self._forget(number)
        await self._loop.run_in_executor(None, self._wait_for_the_end)

    # The fork server

    def _launch(self) -> None:
        self._server, self._control = launch(self._terms)
        self._launched = time.monotonic()
        self._answered = False
        self._loop.add_reader(self._control, self._hear_server)
        self._watch()

    def _hang_up(self) -> None:
        """The fork server ends when nobody is there any more."""
        self._watcher.cancel()
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._control.close()

    def _wait_for_the_end(self) -> None:
        try:
            self._server.wait(SERVER_S)
        except subprocess.TimeoutExpired:  # it has been stopped, or hangs
            self._server.kill()
            self._server.wait()

    def _ask(self, request: str, number: int, descriptors: list[int]) -> None:
        self._asked.setdefault(number, time.monotonic())
        try:
            socket.send_fds(self._control, [f"{request}\n".encode()], descriptors)
        except OSError:  # it has ended, or does not read any more, and will be replaced
            logger.debug("The fork server does not listen.")

    def _hear_server(self) -> None:
        try:
            messages = self._control.recv(MESSAGE_BYTES).decode()
        except BlockingIOError:
            return
        except OSError:
            messages = ""
        if not messages:
            self._replace_server()
        for line in messages.splitlines():
            word, number, value = line.split()
            self._asked.pop(int(number), None)
            if word == "forked":
                self._pids[int(number)] = int(value)
                self._answered = True
                self._note_ready()
            elif int(number) in self._connections:
                self._hear(int(number))  # what it has said before
                self._bury(int(number), int(value))

    def _replace_server(self) -> None:
        self._hang_up()
        self._server.kill()
        self._server.wait()
        if not self._answered and self._has_failed():
            return
        logger.error("The decoders' server has ended (%s); starting another one.", self._server.returncode)
        self._asked.clear()
        self._launch()
        gone = list(self._connections)
        for number in gone:
            self._hear(number)  # all of them first: what they have said may lead to work for another one
        for number in gone:
            self._bury(number, None)

    def _watch(self) -> None:
        """Do not wait for ever for a fork server that does not answer."""
        now = time.monotonic()
        allowed = SERVER_S if self._answered else STARTING_S
        if self._asked and now - max(min(self._asked.values()), self._launched) > allowed:
            logger.error("The decoders' server does not answer.")
            self._server.kill()
        self._watcher = self._loop.call_later(WATCH_S, self._watch)

    # One decoder

    def _hear(self, number: int) -> None:
        connection = self._connections.get(number)
        if connection is None:
            return
        try:
            message = connection.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message == READY:
            self._ready.add(number)
            self._failed_starts = 0
            self._note_ready()
        elif message:
            self._on_message(number, message)
        else:
            self._loop.remove_reader(connection)  # its end is the fork server's to tell, and soon
            self._asked.setdefault(number, time.monotonic())

    def _note_ready(self) -> None:
        if self.pids:
            self._up.set()

    def _bury(self, number: int, status: int | None) -> None:
        was_ready = number in self._ready
        self._forget(number)
        if was_ready or status is None:
            self._on_end(number, status)
        elif not self._has_failed():
            self._on_end(number, None)

    def _has_failed(self) -> bool:
        """Whether one start too many has come to nothing."""
        self._failed_starts += 1
        if self._failed_starts == FAILED_STARTS:
            self._on_failure("decoders cannot be started")
        return self._failed_starts >= FAILED_STARTS

    def _forget(self, number: int) -> None:
        self._ready.discard(number)
        self._asked.pop(number, None)
        connection = self._connections.pop(number)
        self._loop.remove_reader(connection)
        connection.close()
        self._pids.pop(number, None)
