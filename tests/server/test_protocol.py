"""What comes in over a bare socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from app.server.protocol import MAX_PIECES_BYTES
from tests.pictures import encode, photograph, png
from tests.running import RunningService

RED = png((200, 10, 10))
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture
def connection(service: RunningService) -> Iterator[socket.socket]:
    address = httpx.URL(service.url)
    with closing(socket.create_connection((address.host, address.port or 80), 10)) as opened:
        yield opened


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and body of one response."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    length, content_type = 0, b""
    while (line := file.readline().lower()) not in (b"\r\n", b""):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        if line.startswith(b"content-type:"):
            content_type = line.partition(b":")[2].strip()
    assert content_type in (b"application/json", b"application/problem+json")
    body: dict[str, object] = json.loads(file.read(length))
    return status, body


def test_a_head_without_end_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(POST + b"X-Long: ")
    sent = 0
    try:
        while sent < 64 * 2**20:
            connection.sendall(b"a" * 2**16)
            sent += 2**16
    except OSError:
        pass
    assert sent < 8 * 2**20  # what the sockets buffer


def test_what_is_not_http_gets_the_contracts_form(connection: socket.socket) -> None:
    connection.sendall(b"NONSENSE\r\n\r\n")
    status, body = answer(connection)
    assert (status, body["code"]) == (400, "malformed_request")


def test_trailers_are_not_headers(connection: socket.socket) -> None:
    chunk = f"{len(RED):x}\r\n".encode() + RED + b"\r\n0\r\nX-Request-ID: forged\r\n\r\n"
    connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    status, body = answer(connection)
    assert status == 200
    assert body["request_id"] != "forged"


@pytest.mark.parametrize("size", [1, 1000, 2**20])
def test_a_body_arrives_whole_in_chunks_of_any_size(connection: socket.socket, size: int) -> None:
    picture = encode(photograph("coffee"), "PNG")
    assert len(picture) > MAX_PIECES_BYTES
    chunks = (picture[start : start + size] for start in range(0, len(picture), size))
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")
    status, answered = answer(connection)
    assert status == 200
    assert answered["image"] == {"width": 600, "height": 400, "format": "PNG"}


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_an_offered_upgrade_is_declined_and_the_image_answered(
    connection: socket.socket, protocol: bytes, pieces: int
) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
    request = POST + offer + f"Content-Length: {len(RED)}\r\n\r\n".encode() + RED
    step = -(-len(request) // pieces)
    for start in range(0, len(request), step):
        connection.sendall(request[start : start + step])
    status, body = answer(connection)
    assert status == 200
    assert body["image"] == {"width": 300, "height": 260, "format": "PNG"}


def test_requests_on_one_connection_are_answered_in_order(connection: socket.socket) -> None:
    for number in range(3):
        identity = f"X-Request-ID: number-{number}\r\nContent-Length: {len(RED)}\r\n\r\n".encode()
        connection.sendall(POST + identity + RED)
    file = connection.makefile("rb")
    received = b""
    while received.count(b'"request_id"') < 3:
        piece = file.read1(65536)
        assert piece, "closed before the last answer"
        received += piece
    places = [received.index(f'"number-{number}"'.encode()) for number in range(3)]
    assert places == sorted(places)
