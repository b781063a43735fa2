"""The files of one request as they come in, each in a buffer of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.decoding.buffers import Buffer
from app.errors import MissingFile, PayloadTooLarge, ServiceError
from app.http.arrivals import Arrival

# Room for boundaries, part headers and a few small fields around the files themselves.
FRAMING_BYTES = 64 * 1024
File = Buffer | ServiceError
"""What was sent, or why nobody looks at it."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one request may send."""

    max_file_bytes: int
    max_files: int
    timeout_s: float

    @property
    def max_body_bytes(self) -> int:
        return self.max_files * self.max_file_bytes + FRAMING_BYTES

    def announced_bytes(self, headers: Mapping[str, str]) -> int:
        """The announced length of a body, 0 for one that comes in chunks.

        Raises ``PayloadTooLarge`` when more is announced than may be sent.
        """
        announced = headers.get("content-length", "")
        if not announced.isdecimal():
            return 0
        if int(announced) > self.max_body_bytes:
            raise self.too_large()
        return int(announced)

    def too_large(self) -> PayloadTooLarge:
        most = f"{self.max_file_bytes / 2**20:g} MiB"
        if self.max_files == 1:
            return PayloadTooLarge(f"An image may have at most {most}.")
        return PayloadTooLarge(f"An image may have at most {most}, and a request at most {self.max_files} files.")


class Files:
    """``begin``, any number of ``append``, ``end``: for one file after the other.

    All of them raise ``QueueFull`` or ``TooManyRequests`` when there is no room in memory. An empty file or one that is
    too large concerns itself alone: it becomes a problem in ``found``, and the rest of it is passed over.
    """

    def __init__(self, arrival: Arrival, limits: UploadLimits) -> None:
        self.found: list[File] = []
        self._arrival = arrival
        self._limits = limits
        self._buffer: Buffer | None = None

    def begin(self) -> None:
        self._buffer = self._arrival.take()

    def append(self, data: bytes | memoryview) -> None:
        buffer = self._buffer
        if buffer is None:
            return
        if buffer.size + len(data) > self._limits.max_file_bytes:
            self._arrival.drop(buffer)
            self._buffer = None
        else:
            self._arrival.append(buffer, data)

    def end(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is None:
            self.found.append(self._limits.too_large())
        elif not buffer.size:
            self._arrival.drop(buffer)
            self.found.append(MissingFile("The uploaded file is empty."))
        else:
            self._arrival.complete(buffer)
            self.found.append(buffer)
