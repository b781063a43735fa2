"""Which decoder reads which upload, what became of it, and who has to go.

As many uploads are read at a time as there are cores. One that takes long holds up nobody: after ``SLOW_S`` it counts
no longer, and another decoder takes the next upload while the system shares the cores out among them. When there are
too many of them, those that have had their share of the processor are put off: they begin again, a few at a time.
"""

import asyncio
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from app.decoding.buffers import MAX_PIXELS, Block, Buffer
from app.decoding.forkserver import Terms
from app.decoding.messages import Answer
from app.decoding.processes import Processes
from app.decoding.queues import Ledger, Queues
from app.decoding.task import ImageRead, Task, reason_of
from app.errors import ServiceError
from app.image.cost import most_memory_bytes
from app.image.views import Wanted

TICK_S = 0.025
SLOW_S = 0.05
SLOW_FOR_EACH = 2  # slow decoders, for each one that is not
LEAST_S = 0.1  # no decoder is killed sooner: a short deadline must not buy a new process
# What a slow one has had of the processor before it may be put off: an honest picture that is not large takes less. One
# that has taken so small a share for so long hangs.
ENOUGH_CPU_S, HUNG_SHARE, HUNG_S = 0.2, 0.01, 3.0


@dataclass(slots=True, eq=False)
class _Decoder:
    """One process, and the upload that it reads."""

    number: int
    task: Task | None = None
    since: float = 0.0
    slow: bool = False
    cpu_s: float = 0.0
    """Of the processor that it had taken, in all, when it became slow."""
    killed: str = ""
    """Why, if it has been told to end."""


class Decoders:
    """Reads ``count`` uploads at a time, in processes that can be killed; on one event loop.

    ``on_end(reason)`` hears of every decoder that ends before its time: ``abandoned`` (nobody waited for it any more),
    ``put_off`` (others waited), ``cost``, ``crash`` or ``killed`` (by somebody else). ``on_failure(reason)``: there are
    no decoders any more. In ``ledger`` several processes share the memory for large images.
    """

    def __init__(
        self,
        block: Block,
        *,
        count: int,
        max_pixels: int,
        exact: bool,
        ledger: Ledger | None = None,
        on_end: Callable[[str], object] = lambda _: None,
        on_failure: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.count = count
        self._most_bytes = most_memory_bytes(max_pixels, block.upload_bytes)
        self._on_end = on_end
        terms = Terms(block.descriptor, max_pixels, exact)
        self._processes = Processes(terms, self._said, self._ended, on_failure)
        self._queues = Queues(self._most_bytes, most_long=SLOW_FOR_EACH * count, ledger=ledger)
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
    def most_large_bytes(self) -> int:
        """What those may come to."""
        return self._queues.most_large_bytes

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
        self._queues.add(task)
        self._give_out()
        return task.future

    def abandon(self, error: ServiceError) -> None:
        """Answer everybody now, with an error."""
        for task in [*self._being_read(), *self._queues]:
            if not task.future.done():
                task.future.set_exception(copy(error))

    async def close(self) -> None:
        """End all processes; whoever still waits for one waits in vain."""
        await self._processes.close()

    # Who reads what

    def _give_out(self) -> None:
        while self._has_place() and (task := self._queues.next(self._being_read())):
            decoder = self._idle.pop() if self._idle else self._fork()
            decoder.task, decoder.since, decoder.slow = task, time.monotonic(), task.is_long
            self._processes.send(decoder.number, task.message())
            self._tick_later()
        if any(True for _ in self._queues):  # for a place here, or for memory that another process has
            self._tick_later()

    def _has_place(self) -> bool:
        """Whether there is a decoder for the next upload, or may be one."""
        quick = sum(decoder.task is not None and not decoder.slow for decoder in self._decoders.values())
        return quick < self.count and bool(self._idle or len(self._decoders) < self.count * (1 + SLOW_FOR_EACH))

    def _being_read(self) -> list[Task]:
        return [decoder.task for decoder in self._decoders.values() if decoder.task]

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
        """Let those that take long count no longer; kill those for whom nobody waits, or that others wait for."""
        self._ticking = False
        now = time.monotonic()
        busy = [decoder for decoder in self._decoders.values() if decoder.task]
        for decoder in busy:
            self._tick_later()
            if not decoder.slow and now - decoder.since > SLOW_S:
                decoder.slow, decoder.cpu_s = True, self._processes.cpu_s(decoder.number)
            if decoder.task and decoder.task.future.cancelled() and now - decoder.since > LEAST_S:
                self._kill(decoder, "abandoned")
        self._give_out()
        if self._queues.new and not self._has_place():
            ending = sum(bool(decoder.killed) for decoder in busy)
            enough = [decoder for decoder in busy if not decoder.killed and self._has_had_enough(decoder, now)]
            for decoder in enough[: max(0, len(self._queues.new) - ending)]:
                self._kill(decoder, "put_off")

    def _has_had_enough(self, decoder: _Decoder, now: float) -> bool:
        """Not where it is the machine that is slow, and not a second time."""
        if not decoder.slow or decoder.task is None or decoder.task.is_long:
            return False
        cpu_s = self._processes.cpu_s(decoder.number) - decoder.cpu_s
        seconds = now - decoder.since
        return cpu_s > ENOUGH_CPU_S or (seconds > HUNG_S and cpu_s < HUNG_SHARE * seconds)

    def _kill(self, decoder: _Decoder, reason: str) -> None:
        if not decoder.killed:
            decoder.killed = reason
            self._processes.kill(decoder.number)

    def _left(self, task: Task) -> None:
        """Nobody waits for it any more: if it has not been begun, it need not be."""
        if self._queues.remove(task):
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
        if not answer.last and not decoder.killed:
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
        task.room = min(needs, self._most_bytes)
        if task.future.done():
            task.buffer.release()
        else:
            self._queues.add(task)
        self._give_out()

    def _ended(self, number: int, status: int | None) -> None:
        """A decoder is no more; ``status`` is ``None`` when that cannot be its picture's fault."""
        decoder = self._decoders.pop(number)
        if decoder in self._idle:
            self._idle.remove(decoder)
        self._stand_by()
        reason = decoder.killed or reason_of(status)
        if reason:
            self._on_end(reason)
        if decoder.task is not None:
            decoder.task.again = decoder.task.again and status is not None
            self._bereaved(decoder.task, reason)
        asyncio.get_running_loop().call_soon(self._give_out)  # when it is known which others have ended with it

    def _bereaved(self, task: Task, reason: str) -> None:
        """What has become of an upload whose decoder has ended: somebody else's signal is not its fault, once."""
        if task.future.done():
            task.buffer.release()
        elif reason == "put_off":
            self._give_out()  # to whoever it makes way for
            task.put_off = True
            self._queues.add(task)
        elif reason == "killed" and not task.again:
            task.again = True
            self._queues.add(task, first=True)
        else:
            task.bereave(reason)
            task.buffer.release()
