"""Run a program whose time is known, with a bar that shows how far it is."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.load.bar import seconds_bar, update_to


def run_watched(
    command: Sequence[str], seconds: int, name: str, log: Path, *, environment: Mapping[str, str], cwd: Path = CHECKOUT
) -> int:
    """What it prints goes to ``log``. Returns its exit status."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
        seconds_bar(seconds, name) as bar,
    ):
        began = time.monotonic()
        while True:
            try:
                return process.wait(1)
            except subprocess.TimeoutExpired:
                update_to(bar, time.monotonic() - began)
