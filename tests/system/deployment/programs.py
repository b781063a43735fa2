"""Other people's programs, run so that their own words are seen when they fail."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BUILDAH = ("buildah", "--storage-driver", "overlay")


class CheckFailed(Exception):
    """Something that was checked does not hold; the message says what was seen."""


def output_of(command: Sequence[str], cwd: Path | None = None, timeout_s: float | None = None) -> str:
    """What it printed, stripped. Raises ``CheckFailed`` with its last words when it fails."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout_s)
    if result.returncode:
        words = "\n".join((result.stdout + result.stderr).strip().splitlines()[-30:])
        raise CheckFailed(f"{' '.join(command)} ended with {result.returncode}:\n{words}")
    return result.stdout.strip()


def require(condition: object, message: str) -> None:
    """Raises ``CheckFailed`` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def need(programs: Sequence[str], packages: str) -> None:
    """End the run in one line when a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        sys.exit(f"scripts/check-image: {', '.join(missing)} missing; on Debian: apt install {packages}")


def say(text: str) -> None:
    print(text, flush=True)
