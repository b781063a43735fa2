"""Which decoder reads which upload, what became of it, and who has to go.

As many uploads are read at a time as there are cores. One that takes long holds up nobody: after ``SLOW_S`` it counts
no longer, and another decoder takes the next upload while the system shares the cores out among them.
"""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass

from app.decoding.buffers import MAX_PIXELS, Block, Buffer
from app.decoding.forkserver import Terms
from app.decoding.messages import Answer
from app.decoding.processes import Processes
from app.decoding.task import ImageRead, Task
from app.errors import ServiceError
from app.image.cost import most_memory_bytes
from app.image.views import Wanted

TICK_S = 0.025
SLOW_S = 0.05
SLOW_FOR_EACH = 2  # slow decoders, for each one that is not
LEAST_S = 0.1  # no decoder is killed sooner: a short deadline must not buy a new process


@dataclass(slots=True, eq=False)
class _Decoder:
    """One process, and the upload that it reads."""

    number: int
    task: Task | None = None
    since: float = 0.0
    slow: bool = False
    killed: bool = False


class Decoders:
    """Reads ``count`` uploads at a time, in processes that can be killed; on one event loop.

    ``on_end(reason)`` hears of every decoder that ends before its time: ``abandoned`` (nobody waited for it any more),
    ``cost``, ``crash`` or ``killed`` (by somebody else). ``on_failure(reason)``: there are no decoders any more.
    """

    def __init__(
        self,
        block: Block,
        *,
        count: int,
        max_pixels: int,
        exact: bool,
        on_end: Callable[[str], object] = lambda _: None,
        on_failure: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.count = count
        self.most_large_bytes = most_memory_bytes(max_pixels, block.upload_bytes)
        self._on_end = on_end
        terms = Terms(block.descriptor, max_pixels, exact)
        self._processes = Processes(terms, self._said, self._ended, on_failure)
        self._waiting: deque[Task] = deque()
        self._waiting_large: deque[Task] = deque()
        self._decoders: dict[int, _Decoder] = {}
        self._idle: list[_Decoder] = []
        self._ticking = False

    @property
    def pids(self) -> list[int]:
        """The processes that are there."""
        return list(self._processes.pids.values())

    @property
    def busy(self) -> dict[int, int]:
        """Those that read something: process id -> number."""
        return {pid: number for number, pid in self._processes.pids.items() if self._decoders[number].task}

    @property
    def large(self) -> list[int]:
        """Bytes that are kept for each of the large images that are being read."""
        return [task.room for task in self._being_read() if task.room]

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._processes.start()
        self._stand_by()

    async def ready(self) -> None:
        """Until there is a decoder."""
        await self._processes.ready()

    def read(self, buffer: Buffer, wanted: Wanted, most_pixels: int = MAX_PIXELS) -> asyncio.Future[ImageRead]:
        """The views of an upload; their pixels lie in its buffer, which is held until nobody writes there any more.

        ``most_pixels`` is for all views together.
        Cancelling the future takes the upload from its decoder. Raises what ``Reader.read`` raises, ``TooCostly`` also
        when an image takes more of the processor than any honest one of its size, and ``UndecodableImage`` also when
        it breaks its decoder.
        """
        buffer.expect_pixels(wanted.most_bytes(most_pixels))
        task = Task(buffer.hold(), wanted, most_pixels, asyncio.get_running_loop().create_future())
        task.future.add_done_callback(lambda _: self._left(task))
        self._waiting.append(task)
        self._give_out()
        return task.future

    def abandon(self, error: ServiceError) -> None:
        """Answer everybody now, with an error."""
        for task in [*self._being_read(), *self._waiting, *self._waiting_large]:
            if not task.future.done():
                task.future.set_exception(copy(error))

    async def close(self) -> None:
        """End all processes; whoever still waits for one waits in vain."""
        await self._processes.close()

    # Who reads what

    def _give_out(self) -> None:
        while (queue := self._next_queue()) and (decoder := self._free()):
            task = queue.popleft()
            decoder.task, decoder.since, decoder.slow = task, time.monotonic(), bool(task.room)
            self._processes.send(decoder.number, task.message())
            self._tick_later()

    def _next_queue(self) -> deque[Task]:
        """Large ones have waited before; there is memory for one of the largest, or for several that take no more."""
        if self._waiting_large and sum(self.large) + self._waiting_large[0].room <= self.most_large_bytes:
            return self._waiting_large
        return self._waiting

    def _free(self) -> _Decoder | None:
        """A decoder that may take the next upload, unless as many as may be are busy."""
        busy = [decoder for decoder in self._decoders.values() if decoder.task]
        if sum(not decoder.slow for decoder in busy) >= self.count:
            return None
        if self._idle:
            return self._idle.pop()
        return self._fork() if len(self._decoders) < self.count * (1 + SLOW_FOR_EACH) else None

    def _being_read(self) -> Iterator[Task]:
        return (decoder.task for decoder in self._decoders.values() if decoder.task)

    def _fork(self) -> _Decoder:
        decoder = _Decoder(self._processes.fork())
        self._decoders[decoder.number] = decoder
        return decoder

    def _dismiss(self, decoder: _Decoder) -> None:
        del self._decoders[decoder.number]
        self._processes.dismiss(decoder.number)

    def _stand_by(self) -> None:
        while len(self._decoders) < self.count:
            self._idle.append(self._fork())

    def _tick_later(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Let those that take long count no longer; kill those for whom nobody waits."""
        self._ticking = False
        now = time.monotonic()
        for decoder in self._decoders.values():
            if decoder.task is None:
                continue
            self._tick_later()
            decoder.slow = decoder.slow or now - decoder.since > SLOW_S
            if decoder.task.future.cancelled() and not decoder.killed and now - decoder.since > LEAST_S:
                decoder.killed = True
                self._processes.kill(decoder.number)
        self._give_out()

    def _left(self, task: Task) -> None:
        """Nobody waits for it any more: if it has not been begun, it need not be."""
        for queue in (self._waiting, self._waiting_large):
            if task in queue:
                queue.remove(task)
                task.buffer.release()

    # What becomes of it

    def _said(self, number: int, message: bytes) -> None:
        decoder = self._decoders[number]
        task = decoder.task
        try:
            answer = Answer.unpack(message)
        except ValueError:
            task = None
        if task is None:  # nobody has asked it, or this is no answer: it is not itself any more
            self._processes.kill(number)
            return
        decoder.task = None
        if not answer.last:
            self._idle.append(decoder)
        if answer.needs:
            self._put_back(task, answer.needs)
            return
        self._give_out()  # first, so that the decoder does not wait for what the answer leads to
        if len(self._idle) > self.count:  # it stood in for slow ones
            self._dismiss(self._idle.pop(0))
        if not task.future.done():
            task.settle(answer)
        task.buffer.release()

    def _put_back(self, task: Task, needs: int) -> None:
        """It has turned out to be a large one."""
        task.room = min(needs, self.most_large_bytes)
        if task.future.done():
            task.buffer.release()
        else:
            self._waiting_large.append(task)
        self._give_out()

    def _ended(self, number: int, status: int | None) -> None:
        """A decoder is no more; ``status`` is ``None`` when that cannot be its picture's fault."""
        decoder = self._decoders.pop(number)
        if decoder in self._idle:
            self._idle.remove(decoder)
        self._stand_by()
        reason = "abandoned" if decoder.killed else _reason(status)
        if reason:
            self._on_end(reason)
        if decoder.task is not None:
            decoder.task.again = decoder.task.again and status is not None
            self._bereaved(decoder.task, reason)
        asyncio.get_running_loop().call_soon(self._give_out)  # when it is known which others have ended with it

    def _bereaved(self, task: Task, reason: str) -> None:
        """What has become of an upload whose decoder has ended: somebody else's signal is not its fault, once."""
        if reason == "killed" and not task.again and not task.future.done():
            task.again = True
            (self._waiting_large if task.room else self._waiting).appendleft(task)
            return
        if not task.future.done():
            task.bereave(reason)
        task.buffer.release()


def _reason(status: int | None) -> str:
    """Why a decoder has ended that nobody has told to; nothing if it was its time."""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        return "killed"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return "cost"
    return "crash" if status else ""
