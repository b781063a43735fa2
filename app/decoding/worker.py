"""One decoder: told where in shared memory an upload lies, it leaves the pixels there.

It is expected to be killed: by the system when a picture takes more processor time than any honest one of its size, by
its service when nobody waits for the answer any more, and by its own decoders' faults.
"""

import json
import mmap
import resource
import signal
import socket
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.errors import InternalError, ServiceError, TooCostly
from app.image.cost import cpu_seconds, header_cpu_seconds, memory_bytes
from app.image.decode import Opened
from app.image.reader import Reader
from app.image.views import Place, Views

MESSAGE_BYTES = 64 * 1024
# Memory that a decoder may take without asking: enough for a photograph of some megapixels.
FREE_BYTES = 64 * 2**20
MOST_JOBS = 10_000  # after so many a fresh process takes over: whatever a decoder has lost is the system's again


class Large(Exception):
    """The image needs more memory than a decoder may take as it likes."""


class Job(NamedTuple):
    """Where an upload lies, and what is wanted of it. Offsets and sizes in bytes."""

    start: int
    size: int
    pixels_start: int
    large: bool
    """There is room for it if it is a large one."""
    views: Views

    def packed(self) -> bytes:
        return json.dumps((self.start, self.size, self.pixels_start, self.large, _packed(self.views))).encode()

    @classmethod
    def unpack(cls, message: bytes) -> "Job":
        *fields, views = json.loads(message)
        return cls(*fields, _unpacked(views))


@lru_cache(maxsize=64)
def _packed(views: Views) -> str:
    return json.dumps((views.short_side, views.crop, views.interpolation, views.places))


@lru_cache(maxsize=64)
def _unpacked(views: str) -> Views:
    short_side, crop, interpolation, places = json.loads(views)
    return Views(short_side, crop, interpolation, tuple(Place(*place) for place in places))


class Worker:
    """Answers one job after the other, until the other side closes the connection or this process is used up."""

    def __init__(self, connection: socket.socket, memory: mmap.mmap, max_pixels: int, *, exact: bool) -> None:
        self._connection = connection
        self._memory = memory
        self._reader = Reader(max_pixels, exact=exact, before_decoding=self._allow)
        self._at_start = _data_bytes()
        self._room = False
        self._jobs_left = MOST_JOBS

    def serve(self) -> None:
        while self._jobs_left and (message := self._connection.recv(MESSAGE_BYTES)):
            self._jobs_left -= 1
            answer = self._answer(Job.unpack(message))
            self._connection.send(json.dumps(answer | {"last": not self._jobs_left}).encode())

    def _answer(self, job: Job) -> dict[str, Any]:
        self._room = job.large
        try:
            self._limit(header_cpu_seconds(job.size), FREE_BYTES + job.size)
            reading = self._reader.read(self._memory[job.start : job.start + job.size], job.views)
            room = np.frombuffer(self._memory, np.uint8, reading.pixels.size, job.pixels_start)
            room[:] = reading.pixels.reshape(-1)
        except Large:
            return {"large": True}
        except ServiceError as error:
            return _refusal(error)
        except MemoryError:
            self._jobs_left = 0
            return _refusal(TooCostly("The image takes more memory to decode than its size accounts for."))
        except Exception:  # noqa: BLE001 - whatever it is belongs to this picture; the service logs it
            return _refusal(InternalError(traceback.format_exc()[-4000:]))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        return {"image": reading.image, "decode_s": reading.decode_s, "preprocess_s": reading.preprocess_s}

    def _allow(self, opened: Opened) -> None:
        """Set the limits that follow from what the header says. Raises ``Large`` when there may be no room for it."""
        memory = memory_bytes(opened)
        if memory > FREE_BYTES:
            if not self._room:
                raise Large
            self._jobs_left = 0  # a process that ends gives everything back
        self._limit(cpu_seconds(opened), max(memory, FREE_BYTES))

    def _limit(self, cpu_s: float, memory: int) -> None:
        """From here on: seconds of processor time until the system kills this process, and bytes over its start."""
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        if self._at_start is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (self._at_start + memory, resource.RLIM_INFINITY))


def _data_bytes() -> int | None:
    """What ``RLIMIT_DATA`` counts, as of now; ``None`` where the system does not hold anybody to that."""
    if sys.platform != "linux":
        return None
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    return int(pages) * mmap.PAGESIZE


def _refusal(error: ServiceError) -> dict[str, Any]:
    return {"code": error.code, "detail": error.detail}
