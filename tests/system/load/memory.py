"""What processes hold, with what several of them share counted once."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

MIB = 2**20


class Memory(NamedTuple):
    """In bytes, each page divided by the number of processes that have it (proc(5), ``Pss``)."""

    all: int = 0
    own: int = 0
    """Without the pages of mapped files, which the system reads again where it needs them."""

    def describe(self) -> str:
        return f"{self.all / MIB:.0f} MiB of memory, of it {self.own / MIB:.0f} MiB not from files"


def memory_of(processes: Iterable[psutil.Process]) -> Memory:
    """Of all these together; those that end meanwhile have nothing any more."""
    held = [_memory(process) for process in processes]
    return Memory(*map(sum, zip(*held, strict=True))) if held else Memory()


def _memory(process: psutil.Process) -> Memory:
    try:
        if sys.platform != "linux":
            return Memory(process.memory_info().rss, process.memory_full_info().uss)
        return _linux_memory(process.pid)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return Memory()


def _linux_memory(pid: int) -> Memory:
    try:
        rollup = figures(Path(f"/proc/{pid}/smaps_rollup"))
    except PermissionError:
        # Nobody but root looks into a decoder. What it shares with its fork server is counted twice then, and what lies
        # in shared memory where the service has it too.
        anonymous = figures(Path(f"/proc/{pid}/status")).get("RssAnon", 0)
        return Memory(anonymous, anonymous)
    return Memory(rollup.get("Pss", 0), rollup.get("Pss_Anon", 0) + rollup.get("Pss_Shmem", 0))


def figures(path: Path) -> dict[str, int]:
    """The lines that give kilobytes, in bytes."""
    lines = (line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines())
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}
