"""What is counted is what processes hold."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.system.load import memory
from tests.system.load.memory import MIB, Memory, memory_of

FORK = """
import mmap, os, sys
private, shared = bytearray(40 * 2**20), mmap.mmap(-1, 20 * 2**20)
shared.write(bytes(20 * 2**20))
if os.fork():
    print("up", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what is shared counts for nobody")
def test_what_two_processes_share_is_counted_once() -> None:
    with subprocess.Popen([sys.executable, "-c", FORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        parent = psutil.Process(process.pid)
        held = memory_of([parent, *parent.children()])
        process.communicate()
    assert 60 < held.own / MIB < 90
    assert held.all > held.own


def test_a_process_that_is_gone_has_nothing() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = psutil.Process(process.pid)
        process.kill()
    assert memory_of([gone]) == memory_of([]) == Memory()


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of memory")
def test_a_decoder_that_may_not_be_looked_into_counts_with_all_that_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    read = memory.figures

    def refuse(path: Path) -> dict[str, int]:
        if path.name == "smaps_rollup":
            raise PermissionError
        return read(path)

    monkeypatch.setattr(memory, "figures", refuse)
    assert memory_of([psutil.Process()]).own > 10 * MIB
