"""What is counted is what processes hold."""

import subprocess
import sys

import psutil
import pytest

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
        memory = memory_of([parent, *parent.children()])
        process.communicate()
    assert 60 < memory.own / MIB < 90
    assert memory.all > memory.own


def test_a_process_that_is_gone_has_nothing() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = psutil.Process(process.pid)
        process.kill()
    assert memory_of([gone]) == memory_of([]) == Memory()
