"""One file after the other, each with its own problem."""

import pytest

from app.decoding.buffers import Buffer
from app.errors import MissingFile, PayloadTooLarge
from app.http.files import FRAMING_BYTES, File, Files, UploadLimits
from tests.http.uploads import PAGE, Uploads

LIMITS = UploadLimits(max_file_bytes=2 * PAGE, max_files=3, timeout_s=1)


def send(files: Files, *chunks: bytes) -> None:
    files.begin()
    for chunk in chunks:
        files.append(memoryview(chunk))
    files.end()


def content(file: File) -> bytes:
    assert isinstance(file, Buffer)
    return bytes(file.content)


def test_a_file_that_is_too_large_or_empty_concerns_itself_alone() -> None:
    uploads = Uploads()
    with uploads.begin() as arrival:
        files = Files(arrival, LIMITS)
        send(files, b"a" * PAGE, b"b" * PAGE)
        send(files, b"a" * PAGE, b"b" * PAGE, b"c", b"d")
        send(files)
        send(files, b"last")
        first, large, empty, last = files.found
        assert (content(first), content(last)) == (b"a" * PAGE + b"b" * PAGE, b"last")
        assert isinstance(large, PayloadTooLarge)
        assert isinstance(empty, MissingFile)
        assert uploads.charged_pages == 2 + 1 + 2  # two images, and the pixels of both: nothing of the others
        assert uploads.buffers.held_bytes == uploads.arrivals.charged_bytes
    assert uploads.charged_pages == uploads.buffers.held_bytes == 0


def test_what_is_passed_over_takes_no_memory() -> None:
    uploads = Uploads(max_pages=4)
    with uploads.begin() as arrival:
        files = Files(arrival, LIMITS)
        send(files, *[b"x" * PAGE] * 50)
        assert isinstance(files.found[0], PayloadTooLarge)


def test_what_is_announced() -> None:
    most = LIMITS.max_body_bytes
    assert most == 6 * PAGE + FRAMING_BYTES
    assert LIMITS.announced_bytes({}) == 0
    assert LIMITS.announced_bytes({"transfer-encoding": "chunked"}) == 0
    assert LIMITS.announced_bytes({"content-length": "7"}) == 7
    assert LIMITS.announced_bytes({"content-length": str(most)}) == most
    with pytest.raises(PayloadTooLarge, match="at most 3 files"):
        LIMITS.announced_bytes({"content-length": str(most + 1)})
