"""Run a program whose time is known, with a bar that shows how far it is."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from app.settings import CHECKOUT

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} s"


def run_watched(
    command: Sequence[str], seconds: int, name: str, log: Path, *, environment: Mapping[str, str], cwd: Path = CHECKOUT
) -> int:
    """What it prints goes to ``log``. Returns its exit status."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
        tqdm(total=seconds, desc=name, bar_format=BAR) as bar,
    ):
        while True:
            try:
                return process.wait(1)
            except subprocess.TimeoutExpired:
                bar.update(min(1, seconds - bar.n))
