"""A real cause for each alert: every one befalls a service process of its own, on an address of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

import httpx
from PIL import Image

from app.settings import CHECKOUT
from tests.system.deployment.programs import require
from tests.system.deployment.service import START_S, status_of
from tests.system.load.simulated import HANG, POISON

SERVE = "tests.system.load.serve_simulated"
SERVE_SMALL = "tests.system.deployment.serve_small_device"
Color = tuple[int, int, int]
FINE: Color = (90, 120, 30)


class Victim:
    """A service process with a simulated network, and the trouble that it gets."""

    def __init__(self, host: str, module: str, arguments: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.host = host
        self.url = f"http://{host}:8000"
        self._command = [sys.executable, "-m", module, *arguments]
        self._settings = {"VGG_HOST": host, "VGG_PORT": "8000", "VGG_LOG_LEVEL": "critical", **settings}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, cwd=CHECKOUT, env={**os.environ, **self._settings})

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while status_of(f"{self.url}/readyz") != httpx.codes.OK:
            require(self.process.poll() is None, f"{' '.join(self._command)} ended")
            require(time.monotonic() < deadline, f"{' '.join(self._command)} is not ready after {START_S} s")
            time.sleep(0.1)

    def repeat(self, action: Callable[[], object], workers: int = 1, pause_s: float = 0.0) -> None:
        """Do something over and over, in threads of their own, until the end."""

        def work() -> None:
            while not self._over.wait(pause_s):
                with suppress(httpx.TransportError):
                    action()

        self._threads += [threading.Thread(target=work) for _ in range(workers)]
        for thread in self._threads[-workers:]:
            thread.start()

    def post(self, color: Color = FINE, timeout_s: float = 60, headers: Mapping[str, str] | None = None) -> int:
        content = BytesIO()
        Image.new("RGB", (256, 256), color).save(content, "PNG")
        headers = {"Content-Type": "image/png", **(headers or {})}
        return httpx.post(
            f"{self.url}/predict", content=content.getvalue(), headers=headers, timeout=timeout_s
        ).status_code

    def leave_early(self) -> None:
        """A client that goes away before its answer is there."""
        with suppress(httpx.TimeoutException):
            self.post(timeout_s=0.05)

    def end(self) -> None:
        self._over.set()
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()


@dataclass(frozen=True, slots=True)
class Cause:
    """``afflict`` is called once, when the service is ready; it may leave threads behind."""

    afflict: Callable[[Victim], None]
    arguments: tuple[str, ...] = ("4", "0.35")
    settings: Mapping[str, str] = field(default_factory=dict)
    module: str = SERVE


def _freeze(victim: Victim) -> None:
    victim.process.send_signal(signal.SIGSTOP)


def _linger(victim: Victim) -> None:
    victim.process.send_signal(signal.SIGTERM)


def _crash(victim: Victim) -> None:
    for _ in range(2):
        time.sleep(8)  # at least one scrape between
        victim.process.kill()
        victim.process.wait()
        victim.start()
        victim.wait_ready()


def _poison(victim: Victim) -> None:
    victim.repeat(lambda: victim.post(POISON), pause_s=1)


def _hang(victim: Victim) -> None:
    victim.repeat(lambda: victim.post(HANG, timeout_s=600))
    time.sleep(1)
    victim.repeat(lambda: victim.post(FINE, timeout_s=600))


def _flood(victim: Victim) -> None:
    victim.repeat(victim.post, workers=8, pause_s=0.02)


def _hurry(victim: Victim) -> None:
    victim.repeat(lambda: victim.post(headers={"X-Request-Timeout-Ms": "50"}), workers=2, pause_s=0.2)
    victim.repeat(victim.leave_early, pause_s=0.5)


def _ask(victim: Victim) -> None:
    victim.repeat(victim.post, workers=2)


def _ask_together(victim: Victim) -> None:
    victim.repeat(victim.post, workers=6)


LONG = {"VGG_FORWARD_TIMEOUT_S": "3600", "VGG_REQUEST_TIMEOUT_S": "600", "VGG_MAX_QUEUE_DELAY_S": "600"}
CAUSES: dict[str, Cause] = {
    "ReplicaDown": Cause(_freeze),
    "ReplicaNotReady": Cause(_linger, settings={"VGG_DRAIN_DELAY_S": "3600"}),
    "ReplicaRestarts": Cause(_crash),
    "Defects": Cause(_poison),
    "QueueStuck": Cause(_hang, settings=LONG),
    "RequestsRefused": Cause(_flood, ("200", "50"), {"VGG_MAX_QUEUE_SIZE": "2"}),
    "DeadlinesMissed": Cause(_hurry, ("300", "0")),
    "AnswersSlow": Cause(_ask, ("3000", "0"), {"VGG_MAX_QUEUE_DELAY_S": "600"}),
    "DeviceMemoryFull": Cause(_ask_together, ("100", "10"), module=SERVE_SMALL),
}
