"""What reading one file costs, in a process of its own that may be killed: ``python -m tests.system.attacks.trial``.

A process that has imported what decoding needs forks a child for each file. A child gets the bounds of
``app.image.cost`` as a decoder of the service does: the kernel ends it when it takes more CPU, and gives it no more
memory. ``Ground`` is the side that asks.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import ServiceError
from app.image.cost import cpu_seconds, header_cpu_seconds, header_memory_bytes, memory_bytes
from app.image.decode import open_image
from app.image.reader import Reader
from app.image.views import Views
from app.settings import CHECKOUT
from tests.system.attacks.png import RGB, picture

STATUS = Path("/proc/self/status")
MAX_PIXELS = 100_000_000
VIEWS = Views(256, 224, "bilinear")
UNBOUNDED_CPU_S = 60


@dataclass(frozen=True, slots=True)
class Trial:
    """``outcome`` is a format and a size, the code of a ``ServiceError``, the name of a signal or an exception."""

    outcome: str
    cpu_s: float
    """In user and kernel mode, from the fork to the end."""
    memory_bytes: int
    """The most that was mapped beyond the start; of a child that was killed, the most that was resident."""
    allowed_cpu_s: float = 0.0
    allowed_bytes: int = 0
    """The bounds that held at the end; 0 where the child was killed or none were set."""

    @property
    def is_answer(self) -> bool:
        """The service knows what to say to it; a signal becomes ``TooCostly`` or ``UndecodableImage``."""
        return " " in self.outcome or self.outcome.islower() or self.outcome.startswith("SIG")


class Ground:
    """Where files are tried, one after the other. A context manager."""

    def __init__(self, *, exact: bool = False, bounded: bool = True) -> None:
        self._command = [sys.executable, "-m", "tests.system.attacks.trial", *["exact"] * exact, *["bounded"] * bounded]

    def __enter__(self) -> Self:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, cwd=CHECKOUT, env=environment)  # fmt: skip
        return self

    def try_out(self, data: bytes) -> Trial:
        """Raises ``RuntimeError`` when it is not the child but its parent that has come to an end."""
        sender, receiver = self._process.stdin, self._process.stdout
        assert sender
        assert receiver
        sender.write(len(data).to_bytes(8, "big") + data)
        sender.flush()
        line = receiver.readline()
        if not line:
            raise RuntimeError("the process that forks the children is gone")
        return Trial(**json.loads(line))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def serve(*, exact: bool, bounded: bool) -> None:
    """Try what comes on standard input, each behind its length in 8 bytes; answer with a line of JSON for each."""
    reader = Reader(MAX_PIXELS, exact=exact)
    reader.read(picture(64, 64, RGB), VIEWS)  # imports what it needs, before any child has bounds
    while head := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        print(json.dumps(asdict(_try_out(reader, data, bounded=bounded))), flush=True)


def _try_out(reader: Reader, data: bytes, *, bounded: bool) -> Trial:
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        with open(sending, "w") as answer:
            json.dump(_read(reader, data, bounded=bounded), answer)
        os._exit(0)
    os.close(sending)
    with open(receiving) as answer:
        text = answer.read()
    _, status, usage = os.wait4(child, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    if not text or os.WIFSIGNALED(status):
        grown = usage.ru_maxrss * 1024 - _status("VmRSS")
        return Trial(signal.Signals(os.WTERMSIG(status)).name, cpu_s, max(0, grown))
    return Trial(**json.loads(text) | {"cpu_s": cpu_s})


def _read(reader: Reader, data: bytes, *, bounded: bool) -> dict[str, Any]:
    mapped, private = _status("VmSize"), _status("VmData")
    cpu_s, most = float(UNBOUNDED_CPU_S), 0

    def bound(seconds: float, size: int) -> None:
        nonlocal cpu_s, most
        cpu_s, most = seconds, size
        if bounded:
            resource.setrlimit(resource.RLIMIT_DATA, (private + size, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, cpu_s)

    try:
        if bounded:
            bound(header_cpu_seconds(len(data)), header_memory_bytes(data, MAX_PIXELS))
            opened = open_image(data, MAX_PIXELS)
            bound(cpu_seconds(opened), memory_bytes(opened))
            del opened
        else:
            bound(UNBOUNDED_CPU_S, 0)
        image = reader.read(data, VIEWS).image
        outcome = f"{image.format} {image.width}x{image.height}"
    except ServiceError as error:
        outcome = error.code
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the trial has shown
        outcome = type(error).__name__
    return {"outcome": outcome, "cpu_s": 0.0, "memory_bytes": _status("VmPeak") - mapped,
            "allowed_cpu_s": cpu_s, "allowed_bytes": most}  # fmt: skip


def _status(name: str) -> int:
    """A figure of proc(5) in bytes."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    serve(exact="exact" in sys.argv, bounded="bounded" in sys.argv)
