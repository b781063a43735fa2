"""Run the service for a test: inside this process with a dummy network, or as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import httpx
import psutil

from app.http.service import Service
from app.main import create_app
from app.model.registry import LoadedModel
from app.model.selection import Selection
from app.server.listener import listen
from app.server.run import Server
from app.serving.loader import Load
from app.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
# Nobody listens there: every download fails at once, whether or not this machine has a network.
NO_NETWORK = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9"
)


class RunningService:
    """A service on a real socket, its parts within reach."""

    def __init__(self, url: str, service: Service, server: Server) -> None:
        self.url = url
        self.service = service
        self.server = server
        self.client = httpx.Client(base_url=url, timeout=30)

    def predict(self, data: bytes, **params: str | int) -> httpx.Response:
        return self.client.post("/predict", files={"file": ("picture", data)}, params=params)

    def metric(self, name: str) -> float:
        """What ``/metrics`` says at this moment; ``name`` with its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


def settings(**changes: object) -> Settings:
    values: dict[str, object] = {"host": "127.0.0.1", "port": 0, "drain_delay_s": 0.0, "fronts": 0} | changes
    return Settings.model_validate(values)


def constant_load(*models: LoadedModel) -> Load:
    by_name = {model.name: model for model in models}
    return lambda name: by_name[name]


@contextmanager
def running(
    *models: LoadedModel, load: Load | None = None, wait: bool = True, **changes: object
) -> Iterator[RunningService]:
    """Serve these models, the first by default; ``changes`` are settings."""
    configured = settings(**changes)
    app = create_app(configured, load or constant_load(*models), Selection(tuple(model.name for model in models)))
    listener = listen(configured.host, configured.port)
    server = Server(app, app.state.service, listener)
    thread = threading.Thread(target=server.run)
    thread.start()
    url = "http://{}:{}".format(*listener.getsockname()[:2])
    service = RunningService(url, app.state.service, server)
    try:
        wait_until(lambda: service.client.get("/readyz" if wait else "/livez").status_code == httpx.codes.OK)
        yield service
    finally:
        service.client.close()
        server.handle_exit(signal.SIGINT, None)
        thread.join(20)
        assert not thread.is_alive()


class ServiceProcess:
    """``python -m app`` as users run it. Its log goes to a file: a pipe that nobody empties would hold it up."""

    def __init__(self, url: str, environment: dict[str, str], log: TextIO, module: str) -> None:
        self._url = url
        self._log = log
        self._process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=environment, stderr=log)
        self.status: int | None = None

    @property
    def tree(self) -> psutil.Process:
        """The first of its processes."""
        return psutil.Process(self._process.pid)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        wait_until(lambda: self._process.poll() is not None or get_status(f"{self._url}/readyz") == 200, 120)
        assert self._process.poll() is None, self.end()

    def end(self) -> str:
        """Tell it to stop, wait until it has, and hand out its log."""
        if self.status is None:
            self._process.terminate()
            self.status = self._process.wait(30)
        self._log.seek(0)
        return self._log.read()


@contextmanager
def running_process(
    environment: dict[str, str], *, module: str = "app", ready: bool = True
) -> Iterator[tuple[str, ServiceProcess]]:
    """Yields the service's address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    defaults = {"VGG_PORT": str(port), "VGG_DRAIN_DELAY_S": "0"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = ServiceProcess(url, clean_environment() | defaults | environment, log, module)
        try:
            if ready:
                process.wait_ready()
            yield url, process
        finally:
            process.end()


def clean_environment() -> dict[str, str]:
    """This environment without settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VGG_")}


def get_status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


def listens(url: str) -> bool:
    """Whether anybody accepts connections there."""
    address = httpx.URL(url)
    try:
        socket.create_connection((address.host, address.port or 80), 0.2).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s")
