"""One upload to be read, and whoever waits for that."""

import asyncio
import logging
from dataclasses import dataclass

from app.decoding.buffers import Buffer
from app.decoding.messages import Answer, Job
from app.errors import InternalError, TooCostly, UndecodableImage
from app.image.reader import Reading
from app.image.views import Views

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Task:
    """One upload to be read."""

    buffer: Buffer
    views: Views
    future: asyncio.Future[Reading]
    room: int = 0
    """Bytes of memory that it needs if it is a large one."""
    again: bool = False

    def message(self) -> bytes:
        buffer = self.buffer
        return Job(buffer.start, buffer.size, buffer.pixels_start, self.room, self.views).pack()

    def settle(self, answer: Answer) -> None:
        if answer.error is not None:
            if answer.code == InternalError.code:
                logger.error("Reading an image failed:\n%s", answer.detail)
            self.future.set_exception(answer.error)
        elif answer.image is not None:
            pixels = self.buffer.pixels(self.views.shape)
            self.future.set_result(Reading(pixels, answer.image, answer.decode_s, answer.preprocess_s))

    def bereave(self, reason: str) -> None:
        """Its decoder has ended over it."""
        if reason == "crash":
            logger.warning("An image has broken its decoder.")
            self.future.set_exception(UndecodableImage("The image is corrupt: its decoder has failed on it."))
        else:
            self.future.set_exception(TooCostly("The image takes longer to decode than any of its size should."))
