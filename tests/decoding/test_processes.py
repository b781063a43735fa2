"""A fork server that ends, hangs, or never comes up."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from app.decoding import processes
from app.errors import InternalError, UndecodableImage
from tests.decoders import Running, run, until
from tests.pictures import encode, photograph, png

PHOTOGRAPH = encode(photograph(), "JPEG")


def server_of(started: Running) -> int:
    """The process that has made the decoders."""
    status = Path(f"/proc/{started.decoders.pids[0]}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


def test_nothing_is_lost_when_the_fork_server_is_killed() -> None:
    async def test(started: Running) -> None:
        await until(lambda: len(started.decoders.pids) >= 2)
        old, server = started.decoders.pids, server_of(started)
        tasks = [asyncio.create_task(started.read(png((number, 0, 0)))) for number in range(50)]
        await asyncio.sleep(0.01)
        os.kill(server, signal.SIGKILL)
        assert [reading.pixels[0, 0, 0, 0] for reading in await asyncio.gather(*tasks)] == list(range(50))
        await until(lambda: len(started.decoders.pids) >= 2)
        assert not set(old) & set(started.decoders.pids)
        assert server_of(started) != server

    run(test)


def test_a_fork_server_that_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SERVER_S", 0.5)

    async def test(started: Running) -> None:
        server = server_of(started)
        os.kill(server, signal.SIGSTOP)
        for pid in started.decoders.pids:
            os.kill(pid, signal.SIGKILL)
        (await started.begun(PHOTOGRAPH)).cancel()
        await until(lambda: bool(started.decoders.pids) and server_of(started) != server)
        assert (await started.read(PHOTOGRAPH)).image.width == 451

    run(test, count=1)


def test_a_fork_server_that_does_not_tell_of_an_end_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of it: there is another decoder. The upload of the dead one waits for its word all the same."""
    monkeypatch.setattr(processes, "SERVER_S", 0.5)

    async def test(started: Running) -> None:
        await until(lambda: len(started.decoders.pids) == started.decoders.count)
        server = server_of(started)
        task = await started.begun(PHOTOGRAPH)
        (pid,) = started.decoders.busy
        os.kill(server, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        assert (await task).image.width == 451
        assert server_of(started) != server

    run(test)


def test_a_fork_server_that_has_stopped_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SERVER_S", 0.5)
    known: list[int] = []

    async def test(started: Running) -> None:
        known.append(server_of(started))
        os.kill(known[0], signal.SIGSTOP)

    run(test)
    assert not _alive(known[0])


def test_a_service_whose_decoders_never_come_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def test() -> None:
        started = Running()
        started.decoders.start()
        await until(lambda: bool(started.failures))
        await started.decoders.close()
        assert started.failures == ["decoders cannot be started"]

    asyncio.run(test())


def test_decoders_know_nothing_of_the_services_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGG_API_KEYS", "secret-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")

    async def test(started: Running) -> None:
        environment = Path(f"/proc/{server_of(started)}/environ").read_bytes()  # the decoders share it
        assert b"PATH=" in environment
        assert b"secret" not in environment

    run(test)


def test_all_end_with_their_service() -> None:
    known: list[int] = []

    async def test(started: Running) -> None:
        await until(lambda: len(started.decoders.pids) >= 2)
        known.extend([*started.decoders.pids, server_of(started)])

    run(test)
    assert len(known) == 3
    for pid in known:
        assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_picture_is_blamed_for_decoders_that_cannot_be_confined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The fork server does its part, but the system refuses what its decoders ask of it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    refusing = "import app.decoding.confine as it\ndef refuse(parent): raise OSError('refused')\nit.confine = refuse\n"
    (tmp_path / "sitecustomize.py").write_text(refusing, encoding="utf-8")

    async def test() -> None:
        started = Running()
        started.decoders.start()
        task = asyncio.create_task(started.read(PHOTOGRAPH))
        await until(lambda: bool(started.failures))
        assert started.failures == ["decoders cannot be started"]
        assert not task.done()
        started.decoders.abandon(InternalError("over"))
        with pytest.raises(InternalError, match="over"):
            await task
        await started.decoders.close()

    asyncio.run(test())


def test_where_processes_cannot_be_forked_they_are_begun_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.platform = 'darwin'\n", encoding="utf-8")

    async def test(started: Running) -> None:
        assert (await started.read(PHOTOGRAPH)).image.width == 451
        await until(lambda: len(started.decoders.pids) == 2)
        command = Path(f"/proc/{started.decoders.pids[0]}/cmdline").read_bytes()
        assert b"--decoder" in command
        assert (await (await started.begun(PHOTOGRAPH, signal.SIGKILL))).image.width == 451
        with pytest.raises(UndecodableImage):
            await (await started.begun(PHOTOGRAPH, signal.SIGSEGV, signal.SIGCONT))

    run(test)
