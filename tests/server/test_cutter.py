"""Every request ends where a piece ends, however the bytes come and whatever they hold."""

from collections.abc import Iterator

import httptools
import numpy as np
import pytest

from app.server.cutter import MAX_HEAD_BYTES, Cutter, Malformed, Part

BODY = bytes(range(256)) * 3 + b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n0"  # looks like everything
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
EMPTY = b"POST /predict HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(*sizes: int, trailers: bytes = b"", extension: bytes = b"") -> bytes:
    start, parts = 0, []
    for size in sizes:
        parts.append(b"%x%b\r\n%b\r\n" % (size, extension, BODY[start : start + size]))
        start += size
    return CHUNKED + b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


REQUESTS = [
    GET, POST, b"\r\n" + GET, EMPTY, chunks(5, 1, 700), GET, chunks(), chunks(*[1] * 40, trailers=b"X: 0\r\nY: 0\r\n"),
    chunks(300, extension=b";a=0"), POST, chunks(1, 2, 3).replace(b"\r\n0\r\n", b"\r\n0000;last\r\n"), GET,
]  # fmt: skip


class Parser:
    """httptools, driven as the protocol drives it; notes what it finds in each piece."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.cutter = Cutter()
        self.requests: list[tuple[bytes, bytes]] = []
        self.begun = self.ended = self.body_bytes = 0

    def on_message_begin(self) -> None:
        assert self.begun == self.ended, "a request began in the piece in which another one ended"
        self.begun += 1
        self.length: int | None = None
        self.chunked = False
        self.body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.cutter.part is Part.HEAD:
            self.length = int(value) if name == b"Content-Length" else self.length
            self.chunked |= name == b"Transfer-Encoding"

    def on_headers_complete(self) -> None:
        self.cutter.head_ended(self.length, chunked=self.chunked)

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1
        self.requests.append((self.parser.get_method(), self.body))

    def read(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            if self.ended and self.ended == self.begun and self.cutter.part is not Part.HEAD:
                self.cutter.begin()
            end, part, self.body_bytes = self.cutter.cut(data, start), self.cutter.part, 0
            ended = self.ended
            self.parser.feed_data(data[start:end])
            assert self.ended <= ended + 1
            self.cutter.counted(end - start if part is self.cutter.part else 0, self.body_bytes)
            start = end


def reads(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = start + next(sizes)
        yield data[start:end]
        start = end


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 50, 1000, 10**6])
def test_no_piece_reaches_into_the_next_request(largest: int) -> None:
    generator = np.random.default_rng(largest)
    parser = Parser()
    for data in reads(b"".join(REQUESTS), iter(lambda: int(generator.integers(1, largest + 1)), None)):
        parser.read(data)
    assert len(parser.requests) == len(REQUESTS)
    sizes = [0, len(BODY), 0, 0, 706, 0, 0, 40, 300, len(BODY), 6, 0]
    assert [len(body) for _, body in parser.requests] == sizes
    assert all(body == BODY[: len(body)] for _, body in parser.requests)


def test_a_body_of_any_length_in_chunks_of_a_byte_is_not_too_much() -> None:
    parser = Parser()
    parser.read(CHUNKED + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n")
    assert len(parser.requests[0][1]) == 200_000


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"\r\n" * 40_000,
        CHUNKED + b"0\r\n" + b"X: y\r\n" * 20_000,
        CHUNKED + b"0\r\nX: " + b"y" * 100_000,
        CHUNKED + b"1;" + b"y" * 100_000,
        CHUNKED + (b"1;" + b"y" * 100 + b"\r\nx\r\n") * 2000,
    ],
    ids=["headers", "a header", "empty lines", "trailers", "a trailer", "an extension", "extensions"],
)
@pytest.mark.parametrize("size", [64, 1500, 2**18])
def test_what_is_no_body_is_bounded(flood: bytes, size: int) -> None:
    parser = Parser()

    def flow() -> None:
        for data in reads(flood, iter(lambda: size, None)):
            parser.read(data)

    with pytest.raises(Malformed, match="longer than 64 KiB"):
        flow()
    assert parser.cutter._framing_bytes <= 2 * MAX_HEAD_BYTES + 32 * parser.cutter._body_bytes + size
