import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.errors import ModelError, WeightsUnavailable
from app.preparing import download as module
from app.preparing.download import download
from tests.file_host import FileHost, hosting

CONTENT = os.urandom(1_500_000)
IMPATIENT = httpx.Timeout(0.3)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_PAUSE_S", 0.0)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with hosting(CONTENT) as started:
        yield started


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth.part"


def test_a_file_comes_whole(host: FileHost, part: Path) -> None:
    download(host.url, part, len(CONTENT))
    assert part.read_bytes() == CONTENT
    assert host.requests == [None]


def test_what_broke_off_is_resumed_where_it_stopped(host: FileHost, part: Path) -> None:
    host.break_off_after = [600_000, 500_000]
    download(host.url, part, len(CONTENT))
    assert part.read_bytes() == CONTENT
    assert host.requests[0] is None
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in host.requests[1:] if wanted]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] < len(CONTENT)


def test_the_next_run_resumes_too(host: FileHost, part: Path) -> None:
    part.write_bytes(CONTENT[:1_000_000])
    download(host.url, part, len(CONTENT))
    assert part.read_bytes() == CONTENT
    assert host.requests == ["bytes=1000000-"]


def test_a_host_without_ranges_starts_again(host: FileHost, part: Path) -> None:
    part.write_bytes(b"x" * 1000)
    host.ranges = False
    download(host.url, part, len(CONTENT))
    assert part.read_bytes() == CONTENT


def test_too_long_a_part_is_thrown_away(host: FileHost, part: Path) -> None:
    part.write_bytes(CONTENT + b"more")
    download(host.url, part, len(CONTENT))
    assert part.read_bytes() == CONTENT


def test_a_whole_part_asks_nobody(host: FileHost, part: Path) -> None:
    part.write_bytes(CONTENT)
    download(host.url, part, len(CONTENT))
    assert host.requests == []


def test_without_a_known_size_the_announced_one_counts(host: FileHost, part: Path) -> None:
    host.break_off_after = [10_000]
    download(host.url, part)
    assert part.read_bytes() == CONTENT


def test_a_host_that_keeps_breaking_off_is_given_up(host: FileHost, part: Path) -> None:
    host.break_off_after = [0] * 9
    with pytest.raises(WeightsUnavailable, match="broke off"):
        download(host.url, part, len(CONTENT))
    assert len(host.requests) == module.ATTEMPTS_WITHOUT_PROGRESS


def test_a_host_that_never_answers_is_given_up(host: FileHost, part: Path) -> None:
    host.silent = True
    with pytest.raises(WeightsUnavailable, match=r"127\.0\.0\.1 broke off"):
        download(host.url, part, len(CONTENT), IMPATIENT)


def test_a_host_that_is_not_there(part: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="cannot be reached"):
        download("http://127.0.0.1:9/weights.pth", part, len(CONTENT), IMPATIENT)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_final(host: FileHost, part: Path, status: int) -> None:
    host.status = status
    with pytest.raises(WeightsUnavailable, match=str(status)):
        download(host.url, part, len(CONTENT))
    assert len(host.requests) == 1
    assert not part.exists()


def test_another_length_is_another_file(host: FileHost, part: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="another file"):
        download(host.url, part, len(CONTENT) + 1)


def test_a_full_disk_says_so(host: FileHost, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, _="r": FullDisk(self, "w"))
    with pytest.raises(ModelError, match="full"):
        download(host.url, part, len(CONTENT))
