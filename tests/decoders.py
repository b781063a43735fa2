"""Real decoder processes for tests, and what can be done to them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.decoding.buffers import Block, Buffer, Buffers
from app.decoding.pool import Decoders
from app.image.reader import Reading
from app.image.views import Views, Wanted

VGG16 = Views(256, 224, "bilinear")
MIB = 2**20


class Running:
    """Decoders at work, with their buffers."""

    def __init__(self, count: int = 2, max_pixels: int = 100_000_000, *, exact: bool = True) -> None:
        block = Block(64, 32 * MIB)
        self.buffers = Buffers(block, range(64))
        self.ends: list[str] = []
        self.failures: list[str] = []
        self.decoders = Decoders(
            block,
            count=count,
            max_pixels=max_pixels,
            exact=exact,
            on_end=self.ends.append,
            on_failure=self.failures.append,
        )

    def upload(self, data: bytes) -> Buffer:
        buffer = self.buffers.take()
        buffer.append(data)
        return buffer

    async def read(self, data: bytes, views: Views = VGG16) -> Reading:
        """As a request does: the pixels are copied before their memory is somebody else's."""
        buffer = self.upload(data)
        try:
            found = await self.decoders.read(buffer, Wanted((views,)))
            (region,) = found.regions
            pixels = self.buffers.block.pixels(region).copy()
            return Reading(pixels, found.image, found.decode_s, found.preprocess_s)
        finally:
            buffer.release()

    async def begun(self, data: bytes, *signals: int) -> asyncio.Task[Reading]:
        """An upload that lies before a decoder which does not move; the decoder is sent these signals."""
        await until(lambda: len(self.decoders.pids) >= self.decoders.count)
        known = self.decoders.pids
        for pid in known:
            os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(self.read(data))
        await asyncio.sleep(0)
        (pid,) = self.decoders.busy
        for other in known:
            if other != pid:
                os.kill(other, signal.SIGCONT)
        for sent in signals:
            os.kill(pid, sent)
        return task


@asynccontextmanager
async def running(
    count: int = 2, max_pixels: int = 100_000_000, *, exact: bool = True, seconds: float = 60
) -> AsyncIterator[Running]:
    """For so long at most. Nothing may be left of any upload when it ends."""
    started = Running(count, max_pixels, exact=exact)
    started.decoders.start()
    try:
        async with asyncio.timeout(seconds):
            await started.decoders.ready()
            yield started
            await until(lambda: started.buffers.held_bytes == 0)
    finally:
        await started.decoders.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def run(test: Callable[[Running], Awaitable[None]], count: int = 2, *, exact: bool = True) -> None:
    """Let a test use running decoders on an event loop of its own."""

    async def live() -> None:
        async with running(count, exact=exact) as started:
            await test(started)

    asyncio.run(live())
