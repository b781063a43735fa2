"""What a confined process can still do, tried in one."""

import ctypes
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.decoding import confine as confinement
from app.decoding.confine import PROCESSORS, confine

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and prctl are Linux's")


def refused(action: Callable[[], object]) -> bool:
    """Whether a confined child of this process is kept from doing that."""
    parent = os.getpid()
    child = os.fork()
    if not child:
        status = 3
        try:
            confine(parent)
            status = 2
            action()
            status = 0
        except OSError:
            status -= 1
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) in (0, 1), "it could not be confined"
    return os.WEXITSTATUS(status) == 1


def test_it_goes_on_computing_and_speaks_over_what_it_has() -> None:
    ours, theirs = socket.socketpair()
    assert not refused(lambda: theirs.send(str(sum(range(1000))).encode()))
    assert ours.recv(10) == b"499500"
    ours.close()
    theirs.close()


def test_no_file_is_opened_no_connection_made(tmp_path: Path) -> None:
    assert refused(lambda: Path("/etc/passwd").read_bytes())
    assert refused(lambda: (tmp_path / "new").write_text("x", encoding="utf-8"))
    assert refused(lambda: os.listdir("/"))
    assert refused(socket.socket)
    assert refused(os.pipe)


@LINUX
def test_nothing_is_removed_moved_or_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    assert refused(file.unlink)
    assert refused(lambda: file.rename(tmp_path / "elsewhere"))
    assert refused((tmp_path / "folder").mkdir)
    assert refused(lambda: file.with_name("link").symlink_to(file))
    assert refused(lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))  # noqa: S606
    assert file.read_text(encoding="utf-8") == "x"


@LINUX
@pytest.mark.skipif(platform.machine() not in PROCESSORS, reason="whose system calls are not known")
def test_it_makes_threads_but_no_processes() -> None:
    assert refused(os.fork)
    assert refused(lambda: os.posix_spawn("/bin/true", ["true"], {}))
    assert not refused(lambda: threading.Thread(target=int).start())


@LINUX
def test_nobody_else_is_signalled() -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    assert refused(lambda: os.kill(stranger.pid, signal.SIGTERM))
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@LINUX
@pytest.mark.skipif(platform.machine() not in PROCESSORS, reason="whose system calls are not known")
def test_a_system_without_landlock_refuses_programs_and_strangers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_landlock", lambda _: None)
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: int) -> Callable[[], object]:
        return lambda: confinement._checked(getattr(libc, name)(*arguments))

    pid = os.getpid()
    assert refused(lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))  # noqa: S606
    assert refused(lambda: os.kill(pid, 0))
    assert refused(call("tgkill", pid, pid, 0))
    assert refused(call("process_vm_readv", pid, 0, 0, 0, 0, 0))
    assert refused(call("ptrace", 16, pid, 0, 0))  # PTRACE_ATTACH
    assert not refused(lambda: None)


@LINUX
def test_what_aborts_crashes() -> None:
    child = os.fork()
    if not child:
        confine(os.getppid())
        os.abort()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) != signal.SIGKILL


@LINUX
def test_it_ends_with_its_parent() -> None:
    """A process between this one and the confined one ends without a word."""
    code = (
        "import os, signal, sys, time\n"
        "from app.decoding.confine import confine\n"
        "parent = os.getpid()\n"
        "if not os.fork():\n"
        "    confine(parent)\n"
        "    os.write(1, str(os.getpid()).encode())\n"
        "    time.sleep(60)\n"
        "time.sleep(0.5)\n"
        "os.kill(parent, signal.SIGKILL)\n"
    )
    # The confined one has our pipe open, too: that it is read to its end says that both are gone.
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert int(ended.stdout) > 0


@LINUX
def test_one_that_comes_too_late_ends_at_once() -> None:
    child = os.fork()
    if not child:
        confine(1_000_000_000)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 1
