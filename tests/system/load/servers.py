"""Start a server as a process of its own, and know what it costs: the CPU time and memory of its whole process tree."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import httpx
import psutil

from app.settings import CHECKOUT

SIMULATED = {
    "ours": "tests.system.load.serve_simulated",
    "threaded": "tests.system.load.serve_threaded",
    "litserve": "tests.system.load.serve_litserve",
}
MEASURE_ALL = {"VGG_MAX_QUEUE_DELAY_S": "600", "VGG_REQUEST_TIMEOUT_S": "600"}  # what it can do, not what it refuses
START_S = 120


@dataclass
class RunningServer:
    """A server process and its children."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready_s: float

    def _tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self) -> float:
        """User and system time of all processes so far."""
        return float(sum(sum(process.cpu_times()[:2]) for process in self._tree()))

    def resident_mib(self) -> float:
        return float(sum(process.memory_info().rss for process in self._tree())) / 2**20

    def descriptors_and_threads(self) -> tuple[int, int]:
        processes = self._tree()
        return sum(process.num_fds() for process in processes), sum(process.num_threads() for process in processes)

    def private_mib(self) -> float:
        """Without the pages of mapped files."""
        return float(sum(process.memory_full_info().uss for process in self._tree())) / 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def start(command: list[str], port: int, **environment: str) -> Iterator[RunningServer]:
    """Run a command until it answers ``/readyz``, and stop it at the end."""
    quiet = {"VGG_LOG_LEVEL": "critical", "VGG_DRAIN_DELAY_S": "0", "VGG_PORT": str(port)}
    quiet |= {"OPENBLAS_NUM_THREADS": "1"}  # the simulated network's logits are not worth threads that spin
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | quiet | environment)
    try:
        while not _is_ready(port):
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
    port = free_port()
    command = [sys.executable, "-m", SIMULATED[name], str(fixed_ms), str(per_image_ms)]
    if name != "ours":
        command.append(str(port))
    return start(command, port, **environment)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
