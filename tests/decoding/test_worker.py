"""A decoder spoken to over its socket, with budgets that real pictures exceed."""

import mmap
import os
import signal
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from app.decoding import worker
from app.decoding.buffers import Block, Buffers
from app.decoding.messages import MESSAGE_BYTES, READY, Answer, Job
from app.decoding.worker import Worker
from app.image.reader import Reader
from app.image.views import Wanted, Whole
from tests.decoders import MIB, VGG16
from tests.pictures import encode, photograph, plain

PHOTOGRAPH = encode(photograph(), "JPEG")
CROP = Wanted((VGG16,))
LARGE = encode(plain((9, 8, 7), (4000, 3000)))


class Spoken:
    """A worker in a process of its own, without a fork server."""

    def __init__(self) -> None:
        block = Block(4, 32 * MIB)
        self.buffers = Buffers(block, range(4))
        self.connection, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            self.connection.close()
            try:
                Worker(theirs, mmap.mmap(block.descriptor, 0), 100_000_000, exact=True).serve()
            finally:
                os._exit(0)
        theirs.close()
        assert self.connection.recv(MESSAGE_BYTES) == READY

    def ask(self, data: bytes, *, room: int = 0, wanted: Wanted = CROP, most_pixels: int = 10**6) -> Answer | None:
        """The answer, or ``None`` when there is none any more."""
        self.buffer = self.buffers.take()
        self.buffer.append(data)
        buffer = self.buffer
        job = Job(buffer.start, buffer.size, buffer.pixels_start, room, wanted, most_pixels)
        self.connection.send(job.pack())
        message = self.connection.recv(MESSAGE_BYTES)
        return Answer.unpack(message) if message else None

    def status(self) -> int:
        """How it has ended, once nobody speaks to it any more."""
        self.connection.close()
        return os.waitpid(self.pid, 0)[1]


@pytest.fixture
def spoken() -> Iterator[Spoken]:
    started = Spoken()
    yield started
    if not started.connection._closed:  # type: ignore[attr-defined]
        assert started.status() == 0


def test_pixels_are_left_in_shared_memory(spoken: Spoken) -> None:
    answer = spoken.ask(PHOTOGRAPH)
    assert answer is not None
    expected = Reader(10**8, exact=True).read(PHOTOGRAPH, VGG16)
    assert answer.image == expected.image
    assert answer.decode_s > 0
    assert not answer.last
    assert np.array_equal(spoken.buffer.pixels(VGG16.shape), expected.pixels)


@pytest.mark.parametrize(("most_pixels", "code"), [(10**6, ""), (10**5, "evaluation_too_large")])
def test_a_whole_photograph_and_its_mirror_image_lie_behind_the_crop(
    spoken: Spoken, most_pixels: int, code: str
) -> None:
    wanted = Wanted((VGG16, Whole(256, "bilinear", mirrored=True)))
    answer = spoken.ask(PHOTOGRAPH, wanted=wanted, most_pixels=most_pixels)
    assert answer is not None
    assert answer.code == code
    if not code:
        crop, whole = Reader(10**8, exact=True).read_parts(PHOTOGRAPH, wanted, most_pixels).parts
        found = spoken.buffer.pixels((crop.size + whole.size,))
        assert np.array_equal(found, np.concatenate([crop.reshape(-1), whole.reshape(-1)]))
        assert np.array_equal(whole[1], whole[0, :, ::-1])
        assert np.array_equal(crop[0], whole[0, 16:240, (whole.shape[2] - 224) // 2 :][:, :224])


def test_a_refusal_carries_its_code(spoken: Spoken) -> None:
    answer = spoken.ask(b"text")
    assert answer is not None
    assert answer.code == "unsupported_media_type"


def test_a_large_image_waits_to_be_asked_for_again(spoken: Spoken) -> None:
    first = spoken.ask(LARGE)
    assert first is not None
    assert first.needs > worker.FREE_BYTES
    second = spoken.ask(LARGE, room=first.needs)
    assert second is not None
    assert (second.needs, second.code) == (0, "")
    assert second.image is not None
    assert second.image.width == 4000


def test_the_system_ends_it_when_a_picture_takes_too_much_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "cpu_seconds", lambda _: 0.01)
    started = Spoken()
    assert started.ask(encode(plain((1, 2, 3), (4000, 3000)), "JPEG", quality=95), room=10**9) is None
    assert os.WTERMSIG(started.status()) == signal.SIGPROF


def test_a_picture_gets_no_more_memory_than_an_honest_one_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "memory_bytes", lambda _: 1)
    monkeypatch.setattr(worker, "FREE_BYTES", MIB)
    monkeypatch.setattr(worker, "header_memory_bytes", lambda *_: 1)
    started = Spoken()
    answer = started.ask(encode(plain((1, 2, 3), (8000, 6000)), "JPEG"), room=10**9)  # 192 MB of pixels
    assert answer is not None
    assert answer.code in ("too_costly", "undecodable_image")
    assert started.ask(PHOTOGRAPH) is not None
    assert started.status() == 0


def test_it_ends_when_it_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_JOBS", 2)
    started = Spoken()
    lasts = [answer.last for answer in (started.ask(PHOTOGRAPH), started.ask(PHOTOGRAPH)) if answer]
    assert lasts == [False, True]
    assert started.status() == 0


def test_a_defect_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> float:
        raise LookupError("a defect of ours")

    monkeypatch.setattr(worker, "cpu_seconds", fail)
    started = Spoken()
    answer = started.ask(PHOTOGRAPH)
    assert answer is not None
    assert answer.code == "internal"
    assert "a defect of ours" in answer.detail
    assert started.status() == 0
