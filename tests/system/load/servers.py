"""Start a server as a process of its own, and know what it costs: the CPU time and memory of its whole process tree."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import httpx
import psutil

from app.decoding.forkserver import MODULE as FORK_SERVER
from app.settings import CHECKOUT
from tests.system.load.memory import MIB, Memory, memory_of
from tests.system.load.uploads import Wire

PEERS = CHECKOUT / ".venv-peers"  # what scripts/install-peers makes


class Simulated(NamedTuple):
    """A server that can be started with the simulated network."""

    module: str
    wire: Wire = "multipart"
    ready: str = "/readyz"
    package: str | None = None
    """What it needs of ``PEERS``, whose Python runs it then."""

    @property
    def python(self) -> str:
        return str(PEERS / "bin" / "python") if self.package else sys.executable


SIMULATED = {
    "ours": Simulated("tests.system.load.serve_simulated"),
    "threaded": Simulated("tests.system.load.serve_threaded"),
    "litserve": Simulated("tests.system.load.serve_litserve"),
    "mosec": Simulated("tests.system.load.serve_mosec", "raw", "/", "mosec"),
    "triton": Simulated("tests.system.load.serve_triton", "tensor", "/v2/health/ready", "pytriton"),
}
MEASURE_ALL = {"VGG_MAX_QUEUE_DELAY_S": "600", "VGG_REQUEST_TIMEOUT_S": "600"}  # what it can do, not what it refuses
START_S = 120


class Contender(NamedTuple):
    """A server to be measured: one of ``SIMULATED``, ours with so many fronts."""

    name: str
    fronts: int | None = None

    def __str__(self) -> str:
        return self.name if self.fronts is None else f"{self.name} with {self.fronts} fronts"

    @property
    def environment(self) -> dict[str, str]:
        return {} if self.fronts is None else {"VGG_FRONTS": str(self.fronts)}


class Cpu(NamedTuple):
    """Seconds of the processor, user and system."""

    fronts: float
    """What takes requests: in our service with what starts it, in others and where one process does all, everything."""
    network: float
    """The process that has the models, where there is one."""
    decoders: float
    """With their fork servers, and with those that are gone."""

    @property
    def all(self) -> float:
        return sum(self)

    def since(self, before: "Cpu") -> "Cpu":
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))

    def describe(self, images: int) -> str:
        """Per image."""
        each = [f"{name} {1000 * seconds / images:.2f}" for name, seconds in self._asdict().items() if seconds]
        return f"{1000 * self.all / images:.2f} ms: {', '.join(each)}"


@dataclass
class RunningServer:
    """A server process and its children."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready_s: float

    @property
    def fork_servers(self) -> list[psutil.Process]:
        """The processes that make decoders: one for each that takes requests."""
        return [process for process in self._tree() if _makes_decoders(process)]

    @property
    def decoders(self) -> list[psutil.Process]:
        """Those that are there, in the order in which they were made."""
        return [process for process in self._tree() if any(map(_makes_decoders, _parents(process)))]

    @property
    def fronts(self) -> list[psutil.Process]:
        """The processes that take requests, of several; none where one does everything."""
        return [process for process in self._parts if _children(process)]

    @property
    def network(self) -> psutil.Process | None:
        """The process that has the models, where it is one of its own."""
        return next((process for process in self._parts if not _children(process)), None)

    @property
    def _parts(self) -> list[psutil.Process]:
        """What the first process has started, fork servers aside."""
        return [process for process in _children(psutil.Process(self.process.pid)) if not _makes_decoders(process)]

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *sorted(root.children(recursive=True), key=lambda process: process.pid)]

    def cpu(self) -> Cpu:
        """Of all processes so far. What a process took that has ended is found with its parent, who waited for it."""
        decoding = sum(_seconds(process) for process in self._tree()[1:] if _decodes(process))
        network, fronts = self.network if self.fronts else None, self.fronts
        times = psutil.Process(self.process.pid).cpu_times()
        gone = times.children_user + times.children_system
        others = [process for process in self._parts if process != network]
        if not fronts:
            return Cpu(times.user + times.system, 0, gone + decoding + sum(map(_seconds, others)))
        taking = times.user + times.system + gone + sum(map(_seconds, others))
        return Cpu(taking, _seconds(network) if network else 0, decoding)

    def memory(self) -> Memory:
        return memory_of(self._tree())

    def memory_mib(self) -> float:
        """Without the pages of mapped files."""
        return self.memory().own / MIB

    def descriptors_and_threads(self) -> tuple[int, int]:
        """Of the service and its fork server; decoders, which come and go, have next to none."""
        processes = [psutil.Process(self.process.pid), *self._parts, *self.fork_servers]
        return sum(process.num_fds() for process in processes), sum(process.num_threads() for process in processes)


def _makes_decoders(process: psutil.Process) -> bool:
    """Decoders have its command line: they are its copies."""
    return _decodes(process) and not any(map(_decodes, _parents(process)))


def _decodes(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return FORK_SERVER in process.cmdline()
    return False


def _parents(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return [parent] if parent else []
    return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return sorted(process.children(), key=lambda child: child.pid)
    return []


def _seconds(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))
    return 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def start(command: list[str], port: int, ready: str = "/readyz", **environment: str) -> Iterator[RunningServer]:
    """Run a command until it answers ``ready``, and stop it at the end."""
    quiet = {"VGG_LOG_LEVEL": "critical", "VGG_DRAIN_DELAY_S": "0", "VGG_PORT": str(port)}
    quiet |= {"OPENBLAS_NUM_THREADS": "1"}  # the simulated network's logits are not worth threads that spin
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | quiet | environment)
    try:
        while not _is_ready(port, ready):
            if process.poll() is not None or time.perf_counter() - began > START_S:
                sys.exit(f"{' '.join(command)} did not start; its last words are above.")
            time.sleep(0.05)
        yield RunningServer(port, process, time.perf_counter() - began)
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, alive = psutil.wait_procs([*children, psutil.Process(process.pid)], timeout=20)
    for left in alive:
        left.kill()
    process.wait()


def start_service(**environment: str) -> AbstractContextManager[RunningServer]:
    """``python -m app`` as it is deployed."""
    return start([sys.executable, "-m", "app"], free_port(), **environment)


def start_simulated(
    name: str, fixed_ms: float, per_image_ms: float, **environment: str
) -> AbstractContextManager[RunningServer]:
    """One of the servers to compare, with the simulated network."""
    port, server = free_port(), SIMULATED[name]
    command = [server.python, "-m", server.module, str(fixed_ms), str(per_image_ms)]
    if name != "ours":
        command.append(str(port))
    return start(command, port, server.ready, **environment)


def require_installed(names: Iterable[str]) -> None:
    """Raises ``FileNotFoundError`` where one of these servers is not installed in ``PEERS`` and should be."""
    for name in names:
        package = SIMULATED[name].package
        if package and not any(PEERS.glob(f"lib/python*/site-packages/{package}")):
            raise FileNotFoundError(f"{name} is not installed; scripts/install-peers installs it where it can be had.")


def _is_ready(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
