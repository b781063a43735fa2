"""One upload to be read, whoever waits for that, and why its decoder has ended."""

import asyncio
import logging
import math
import os
import signal
from dataclasses import dataclass
from typing import NamedTuple

from app.decoding.buffers import Buffer, Region
from app.decoding.messages import Answer, Job
from app.errors import InternalError, ServiceError, TooCostly, UndecodableImage
from app.image.decode import ImageInfo
from app.image.views import Wanted

logger = logging.getLogger(__name__)


class ImageRead(NamedTuple):
    """What was read of one image: where each part of what was wanted lies, uint8 (views, height, width, 3).

    Times are in seconds.
    """

    regions: list[Region]
    image: ImageInfo
    decode_s: float
    preprocess_s: float


@dataclass(slots=True, eq=False)
class Task:
    """One upload to be read."""

    buffer: Buffer
    wanted: Wanted
    most_pixels: int
    """Of all views together."""
    future: asyncio.Future[ImageRead]
    room: int = 0
    """Bytes of memory that it needs if it is a large one."""
    put_off: bool = False
    """It has taken long, and begins again when there is time for such."""
    again: bool = False

    @property
    def is_long(self) -> bool:
        """Known to take longer than most."""
        return bool(self.room or self.put_off)

    def message(self) -> bytes:
        buffer = self.buffer
        job = Job(buffer.start, buffer.size, buffer.pixels_start, self.room, self.wanted, self.most_pixels)
        return job.pack()

    def settle(self, answer: Answer) -> None:
        if answer.error is not None:
            if answer.code == InternalError.code:
                logger.error("Reading an image failed:\n%s", answer.detail)
            self.future.set_exception(answer.error)
        elif answer.image is not None:
            self._succeed(answer.image, answer)

    def _succeed(self, image: ImageInfo, answer: Answer) -> None:
        """Its decoder may not be itself any more: what it says is of a size that was allowed for."""
        try:
            shapes = self.wanted.shapes(image.width, image.height, self.most_pixels)
        except ServiceError:
            self.future.set_exception(UndecodableImage("The image is corrupt: its decoder has failed on it."))
            return
        regions, start = [], self.buffer.pixels_start
        for shape in shapes:
            regions.append(Region(start, shape))
            start += math.prod(shape)
        self.future.set_result(ImageRead(regions, image, answer.decode_s, answer.preprocess_s))

    def bereave(self, reason: str) -> None:
        """Its decoder has ended over it."""
        if reason == "crash":
            logger.warning("An image has broken its decoder.")
            self.future.set_exception(UndecodableImage("The image is corrupt: its decoder has failed on it."))
        else:
            self.future.set_exception(TooCostly("The image takes longer to decode than any of its size should."))


def reason_of(status: int | None) -> str:
    """Why a decoder has ended that nobody has told to; nothing if it was its time."""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        return "killed"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return "cost"
    return "crash" if status else ""
