"""A device that is beyond use: the process ends with 1, and where there is a supervisor another one takes its place."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
from PIL import Image

from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding
from tests.system.gpu.serve_breakable import POISON
from tests.system.load.servers import RunningServer, free_port, start

ENDED_S = 30
BACK_S = 120
COMMAND = [sys.executable, "-m", "tests.system.gpu.serve_breakable"]


def check(bench: Bench) -> Iterator[Finding]:
    for fronts, what in ((0, "one process ends with 1"), (1, "with fronts, another process takes its place")):
        with start(COMMAND, free_port(), **bench.environment(VGG_FRONTS=str(fronts))) as server:
            answered, broken = _ask(server, bench.jpegs[0]), _ask(server, poison())
            if fronts:
                back = _is_back(server, bench.jpegs[0])
                words = f"{answered} before, {broken} on the picture that breaks it, {back} from the next process"
                yield Finding.judged("ending", what, (answered, broken, back) == (200, 500, 200), words)
            else:
                status = _status(server)
                words = f"{answered} before, {broken} on the picture that breaks it, exit status {status}"
                yield Finding.judged("ending", what, (answered, broken, status) == (200, 500, 1), words)


def poison() -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (300, 300), POISON).save(file, "PNG")
        return file.getvalue()


def _ask(server: RunningServer, picture: bytes) -> int:
    """Its status; 0 when the connection broke."""
    url = f"http://127.0.0.1:{server.port}/predict"
    try:
        return httpx.post(url, content=picture, headers={"Content-Type": "image/*"}, timeout=60).status_code
    except httpx.TransportError:
        return 0


def _status(server: RunningServer) -> int | None:
    try:
        return server.process.wait(ENDED_S)
    except subprocess.TimeoutExpired:
        return None


def _is_back(server: RunningServer, picture: bytes) -> int:
    deadline = time.monotonic() + BACK_S
    while (status := _ask(server, picture)) != httpx.codes.OK and time.monotonic() < deadline:
        time.sleep(0.2)
    return status
