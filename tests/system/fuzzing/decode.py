"""Run atheris on decoding, in processes of its own: one that a decoder brings down is found, and another begun."""

import os
import re
import subprocess
import sys
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.fuzzing.seeds import seeds
from tests.system.fuzzing.watch import run_watched

LIMIT_S = 10  # for one input; the slowest seed takes 25 ms
LIMIT_MIB = 1024  # resident, of which libFuzzer takes 630 and Python with the instrumented modules 110
MAX_BYTES = 64 * 1024
TARGET = (sys.executable, "-m", "tests.system.fuzzing.target")


def fuzz_decode(seconds: int, restarts: int, folder: Path) -> int:
    """Fuzz for so long in all, beginning anew ``restarts`` times with what was learned; how many findings there were.

    ``folder`` keeps the corpus and, in ``findings``, the inputs to reproduce.
    """
    corpus, findings = folder / "corpus", folder / "findings"
    for path in (corpus, findings):
        path.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (corpus / name).write_bytes(data)
    executions = failed = 0
    for number in range(restarts + 1):
        log = folder / f"run-{number}.log"
        status = _run(corpus, findings, seconds // (restarts + 1), log, f"run {number}")
        text = log.read_text(errors="replace")
        executions += _last("stat::number_of_executed_units", text)
        begun, ended, memory = _first("INITED cov", text), _last(" cov", text), _last("stat::peak_rss_mb", text)
        print(f"run {number}: {begun} branches from the corpus, {ended} at the end, {memory} MiB at most, exit status "
              f"{status}, see {log}", flush=True)  # fmt: skip
        failed += status != 0
    print(f"{executions} executions, {failed} findings{f' in {findings}' if failed else ''}")
    return failed


def reproduce(path: Path) -> int:
    """Check one input, in a process of its own; 0 when what must hold does."""
    return subprocess.run([*TARGET, str(path)], cwd=CHECKOUT, env=_environment(), check=False).returncode


def _run(corpus: Path, findings: Path, seconds: int, log: Path, name: str) -> int:
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", f"-timeout={LIMIT_S}",
               f"-rss_limit_mb={LIMIT_MIB}", f"-artifact_prefix={findings}/", "-print_final_stats=1"]  # fmt: skip
    return run_watched([*TARGET, str(corpus), *options], seconds, name, log, environment=_environment())


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def _first(name: str, text: str) -> int:
    return _figures(name, text)[0]


def _last(name: str, text: str) -> int:
    return _figures(name, text)[-1]


def _figures(name: str, text: str) -> list[int]:
    """Every figure that libFuzzer gave under a name; 0 where it came to none."""
    return [int(figure) for figure in re.findall(rf"{name}: +(\d+)", text)] or [0]
