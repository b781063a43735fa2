"""Connections that want to take the service from the others.

python -m tests.system.chaos.floods FLOOD PORT SECONDS

Each flood is a process of its own, so that what it costs itself does not look like the service's latency, and needs the
standard library alone. It prints what came back and how much was sent.
"""

import json
import re
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPResponse
from itertools import cycle
from typing import NamedTuple

CLIENT_KEY, ADMIN_KEY = "client", "operator"
POST = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {CLIENT_KEY}\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 100000000000\r\n\r\n"
EMPTY = POST + b"Content-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG"  # refused, but only after a while
SMALL = b"GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n"  # 32 bytes
SMALL_COUNT = 200_000
BUNDLE = b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
KIB = 2**10
OPEN, CLOSED, RESET, HELD_UP = "still open", "closed", "reset", "held up"


class Seen(NamedTuple):
    """Statuses, and how connections ended without one; bytes that the sockets took."""

    answers: Counter[str]
    sent_bytes: int


@contextmanager
def connected(port: int, timeout_s: float = 5) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout_s)) as connection:
        yield connection


def statuses(received: bytes) -> Counter[str]:
    return Counter(status.decode() for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received))


def received_by(connection: socket.socket) -> bytes:
    """What has come and was not read yet."""
    received = b""
    connection.setblocking(False)
    with suppress(OSError):
        while data := connection.recv(64 * KIB):
            received += data
    return received


def pour(port: int, seconds: float, start: bytes, more: bytes, most: float = float("inf")) -> Seen:
    """Send ``start``, then ``more`` again and again; on another connection once the service has ended one."""
    answers: Counter[str] = Counter()
    sent, ends = 0, time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        with connected(port) as connection:
            connection.settimeout(left)
            sent_here, how = 0, OPEN
            try:
                connection.sendall(start)
                while sent_here < most and time.monotonic() < ends:
                    connection.sendall(more)
                    sent_here += len(more)
            except TimeoutError:
                how = HELD_UP
            except OSError:
                how = RESET
            if how == OPEN:
                time.sleep(max(0.0, ends - time.monotonic()))
            sent += sent_here
            if how == RESET or not answers:  # the last one is cut short by the end of the flood
                answers += statuses(received_by(connection)) or Counter([how])
    return Seen(answers, sent)


def endless_trailers(port: int, seconds: float) -> Seen:
    return pour(port, seconds, CHUNKED + b"0\r\n", (b"X-Trailer: " + b"y" * 1000 + b"\r\n") * 60)


def endless_extensions(port: int, seconds: float) -> Seen:
    return pour(port, seconds, CHUNKED + b"1;", b"y" * 64 * KIB)


def endless_upgrade(port: int, seconds: float) -> Seen:
    """Behind requests in progress: an offer to upgrade, and a body of 100 GB."""
    return pour(port, seconds, EMPTY * 20 + UPGRADE, bytes(256 * KIB))


def pipelined(port: int, seconds: float) -> Seen:
    """200,000 requests of 32 bytes on one connection, of whose answers none is read."""
    return pour(port, seconds, b"", SMALL * 1000, SMALL_COUNT * len(SMALL))


def half_open(port: int, seconds: float, hold: int = 300) -> Seen:
    """New connections, each with half a head, up to a thousand a second; the last three hundred are held."""
    held: list[socket.socket] = []
    answers: Counter[str] = Counter()
    count, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        with suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", port), 5))
            held[-1].sendall(POST[:-10])
            count += 1
        if len(held) > hold:
            answers[state_of(held.pop(0))] += 1
        time.sleep(0.001)
    answers += Counter(state_of(connection) for connection in held)
    return Seen(answers, count * (len(POST) - 10))


def state_of(connection: socket.socket) -> str:
    """How the service has left it; it is closed with that."""
    with closing(connection):
        if not select.select([connection], [], [], 0)[0]:
            return OPEN
        with suppress(OSError):
            received = connection.recv(64 * KIB)
            return next(iter(statuses(received)), CLOSED)
        return RESET


def slow_heads(port: int, seconds: float) -> Seen:
    """Thirty heads, a byte at a time."""
    head = POST + b"X-Slow: " + b"y" * 100_000
    connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(30)]
    ends, sent = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        for connection in connections:
            with suppress(OSError):
                connection.sendall(head[sent : sent + 1])
        sent += 1
        time.sleep(0.02)
    return Seen(Counter(state_of(connection) for connection in connections), 30 * sent)


def many_headers(port: int, seconds: float) -> Seen:
    """Heads of thousands of headers that never end, on fifty connections."""
    head = POST + b"".join(b"%x:\r\n" % number for number in range(0x1000, 0x1000 + 8000))
    connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(50)]
    for connection in connections:
        with suppress(OSError):
            connection.sendall(head)
    time.sleep(seconds)
    return Seen(Counter(state_of(connection) for connection in connections), 50 * len(head))


def slow_readers(port: int, seconds: float) -> Seen:
    """Thirty connections that ask for 1.5 MB, fifty times each, and read nothing."""
    connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(30)]
    for connection in connections:
        connection.sendall(BUNDLE * 50)
    time.sleep(seconds)
    return Seen(Counter(state_of(connection) for connection in connections), 30 * 50 * len(BUNDLE))


def asked_again(port: int, seconds: float, requests: list[bytes]) -> Counter[str]:
    """One request after the other on one connection, each after the answer to the last."""
    answers: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    with connected(port) as connection:
        for request in cycle(requests):
            if time.monotonic() > ends:
                return answers
            connection.sendall(request)
            with closing(HTTPResponse(connection)) as response:
                response.begin()
                response.read()
            answers[str(response.status)] += 1
    return answers


def foreign_hosts(port: int, seconds: float) -> Seen:
    request = POST.replace(b"localhost", b"evil.example") + b"Content-Length: 0\r\n\r\n"
    answers = asked_again(port, seconds, [request])
    return Seen(answers, answers.total() * len(request))


def parallel_loads(port: int, seconds: float) -> Seen:
    """Eight callers who load models all the while: half with a client's key, half with an operator's."""
    load = "POST /models/{}/load HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {}\r\nContent-Length: 0\r\n\r\n"
    keys = [CLIENT_KEY, ADMIN_KEY] * 4
    requests = [[load.format(name, key).encode() for name in ("vgg16", "other")] for key in keys]
    with ThreadPoolExecutor(len(keys)) as pool:
        found = list(pool.map(lambda ours: asked_again(port, seconds, ours), requests))
    answers = sum(found, start=Counter[str]())
    return Seen(answers, answers.total() * len(requests[0][0]))


FLOODS: dict[str, Callable[[int, float], Seen]] = {
    flood.__name__: flood
    for flood in (
        endless_trailers, endless_extensions, endless_upgrade, pipelined, half_open, slow_heads, many_headers,
        slow_readers, foreign_hosts, parallel_loads,
    )
}  # fmt: skip


if __name__ == "__main__":
    name, port, seconds = sys.argv[1:]
    print(json.dumps(FLOODS[name](int(port), float(seconds))))
