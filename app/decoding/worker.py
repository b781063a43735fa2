"""One decoder: told where in shared memory an upload lies, it leaves the pixels there.

It is expected to be killed: by the system when a picture takes more of the processor than any honest one of its size,
by its service when nobody waits for the answer any more, and by its own libraries' faults.
"""

import mmap
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Sequence

import numpy as np

from app.decoding.messages import MESSAGE_BYTES, READY, Answer, Job, account
from app.errors import InternalError, ServiceError, TooCostly
from app.image.cost import cpu_seconds, header_cpu_seconds, header_memory_bytes, memory_bytes, views_cost
from app.image.decode import Opened
from app.image.reader import Reader
from app.image.views import Pixels, Wanted

# Memory that a decoder may take as it likes: enough for a photograph of three megapixels.
FREE_BYTES = 96 * 2**20
# What may stay behind of a picture, and after how many a fresh process takes over in any case.
KEPT_BYTES = 32 * 2**20
MOST_JOBS = 10_000


class NoRoom(Exception):
    """The image needs so many bytes, and fewer are kept for it."""

    def __init__(self, needs: int) -> None:
        super().__init__(needs)
        self.needs = needs


class Worker:
    """Answers one job after the other, until the other side closes the connection or this process is used up."""

    def __init__(self, connection: socket.socket, memory: mmap.mmap, max_pixels: int, *, exact: bool) -> None:
        self._connection = connection
        self._memory = memory
        self._max_pixels = max_pixels
        self._reader = Reader(max_pixels, exact=exact, before_decoding=self._allow)
        self._data = DataMemory()
        self._jobs_left = MOST_JOBS
        self._room = FREE_BYTES
        self._wanted = Wanted(())

    def serve(self) -> None:
        self._connection.send(READY)
        while self._jobs_left and (message := self._connection.recv(MESSAGE_BYTES)):
            job = Job.unpack(message)
            self._jobs_left -= 1
            answer = self._answer(job)
            if job.room and self._data.growth() > KEPT_BYTES:
                self._jobs_left = 0
            self._connection.send(answer._replace(last=not self._jobs_left).pack())

    def _answer(self, job: Job) -> Answer:
        self._room, self._wanted = max(job.room, FREE_BYTES), job.wanted
        try:
            self._limit(header_cpu_seconds(job.size), FREE_BYTES)
            data = self._memory[job.start : job.start + job.size]
            self._limit(header_cpu_seconds(job.size), header_memory_bytes(data, self._max_pixels))
            reading = self._reader.read_parts(data, job.wanted, job.most_pixels)
            self._leave(reading.parts, job.pixels_start)
        except NoRoom as error:
            return Answer(last=False, needs=error.needs)
        except ServiceError as error:
            return Answer.refuse(error)
        except MemoryError:
            return Answer.refuse(TooCostly("The image takes more memory to decode than its size accounts for."))
        except Exception:  # noqa: BLE001 - whatever it is belongs to this picture; the service logs it
            return Answer.refuse(InternalError(traceback.format_exc()[-4000:]))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        return account(reading)

    def _leave(self, parts: Sequence[Pixels], start: int) -> None:
        """Where they are looked for."""
        for pixels in parts:
            np.frombuffer(self._memory, np.uint8, pixels.size, start)[:] = pixels.reshape(-1)
            start += pixels.size

    def _allow(self, opened: Opened) -> None:
        """What the header says is what there is."""
        views_cpu_s, views_bytes = views_cost(opened, self._wanted)
        self._limit(cpu_seconds(opened) + views_cpu_s, memory_bytes(opened) + views_bytes)

    def _limit(self, cpu_s: float, memory: int) -> None:
        """From here on: seconds of the processor until the system ends this process, bytes over its start.

        Raises ``NoRoom``.
        """
        if memory > self._room:
            raise NoRoom(memory)
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        self._data.limit(max(memory, FREE_BYTES))


class DataMemory:
    """What ``RLIMIT_DATA`` counts of this process: all that is its own and can be written. Linux alone enforces it."""

    def __init__(self) -> None:
        linux = sys.platform == "linux"
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if linux else None
        self._at_start = self._now()

    def limit(self, growth: int) -> None:
        """At most so many bytes more than at the start."""
        if self._statm is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (self._at_start + growth, resource.RLIM_INFINITY))

    def growth(self) -> int:
        """Bytes more than at the start."""
        return self._now() - self._at_start

    def _now(self) -> int:
        return int(os.pread(self._statm, 256, 0).split()[5]) * mmap.PAGESIZE if self._statm is not None else 0
