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


class Cpu(NamedTuple):
    """Seconds of the processor, user and system."""

    service: float
    decoders: float
    """With their fork server, and with those that are gone."""

    @property
    def all(self) -> float:
        return self.service + self.decoders

    def since(self, before: "Cpu") -> "Cpu":
        return Cpu(self.service - before.service, self.decoders - before.decoders)


@dataclass
class RunningServer:
    """A server process and its children."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready_s: float

    @property
    def fork_server(self) -> psutil.Process | None:
        """The process that makes decoders; ``None`` while there is none, or where there never is one."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if FORK_SERVER in child.cmdline():
                    return child
        return None

    @property
    def decoders(self) -> list[psutil.Process]:
        """Those that are there, in the order in which they were made."""
        fork_server = self.fork_server
        with suppress(psutil.NoSuchProcess):
            return sorted(fork_server.children(), key=lambda process: process.pid) if fork_server else []
        return []

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu(self) -> Cpu:
        """Of all processes so far. What a process took that has ended is found with its parent, who waited for it."""
        root, *others = self._tree()
        times = root.cpu_times()
        gone = times.children_user + times.children_system
        return Cpu(times.user + times.system, gone + sum(map(_seconds, others)))

    def memory(self) -> Memory:
        return memory_of(self._tree())

    def memory_mib(self) -> float:
        """Without the pages of mapped files."""
        return self.memory().own / MIB

    def descriptors_and_threads(self) -> tuple[int, int]:
        """Of the service and its fork server; decoders, which come and go, have next to none."""
        processes = [psutil.Process(self.process.pid), *filter(None, [self.fork_server])]
        return sum(process.num_fds() for process in processes), sum(process.num_threads() for process in processes)


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
