"""Connections that want to take the service from the others."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import httpx
import pytest
from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.server import protocol
from app.server.protocol import CarefulProtocol
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running, wait_until

RED = png((200, 10, 10))
MIB = 2**20
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(RED) + RED
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
# What both ends' sockets hold on loopback before a sender must wait: megabytes, by the system's choice.
BETWEEN_BYTES = 16 * MIB


def connect(service: RunningService) -> socket.socket:
    address = httpx.URL(service.url)
    return socket.create_connection((address.host, address.port or 80), 10)


def flood(connection: socket.socket, data: bytes, most: int, seconds: float = 3) -> int:
    """Send data again and again until so much is sent, the other side closes, or takes no more; the bytes sent."""
    connection.settimeout(seconds)
    sent = 0
    with suppress(OSError):
        while sent < most:
            connection.sendall(data)
            sent += len(data)
    return sent


def protocols(service: RunningService) -> list[CarefulProtocol]:
    return [one for one in service.server.server_state.connections if isinstance(one, CarefulProtocol)]


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(20)
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(2**16):
            received += data
    return received


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: " + b"y" * 1000 + b"\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y" * 2**16),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"y" * 2**16),
        (POST, b"X-Header: " + b"y" * 1000 + b"\r\n"),
        (b"GET /", b"y" * 2**16),
    ],
    ids=["trailers", "a trailer", "an extension", "headers", "a path"],
)
def test_what_is_no_body_is_cut_off(service: RunningService, start: bytes, more: bytes) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(start)
        assert flood(connection, more, 64 * MIB) < BETWEEN_BYTES
        assert service.client.get("/livez").elapsed.total_seconds() < 1
    wait_until(lambda: not any(one._unread for one in protocols(service)))


def test_an_upgrade_behind_a_request_in_progress_takes_nothing(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, closing(connect(service)) as connection:
        connection.sendall(WHOLE)
        wait_until(lambda: service.service.admission.in_flight == 1)
        connection.sendall(POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 100000000000\r\n\r\n")
        assert flood(connection, bytes(2**18), 600 * MIB, 1) < BETWEEN_BYTES
        assert sum(len(one._unread) for one in protocols(service)) <= MIB
        network.gate.set()


def test_an_upgrade_with_a_body_that_nobody_reads_is_under_flow_control(network: DummyNetwork) -> None:
    """Admitted, read into the buffer that it has announced, and no further than the application asks for."""
    with running(dummy_model(network), max_upload_mb=1) as service, closing(connect(service)) as connection:
        connection.sendall(POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 100000000000\r\n\r\n")
        sent = flood(connection, bytes(2**18), 600 * MIB)
        assert sent < BETWEEN_BYTES + 4 * MIB  # a refused upload is read away within bounds
    assert service.service.admission.in_flight == 0


def test_two_hundred_thousand_requests_wait_on_the_other_side(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, closing(connect(service)) as connection:
        connection.sendall(WHOLE)
        wait_until(lambda: service.service.admission.in_flight == 1)
        with ThreadPoolExecutor(1) as pool:
            flooding = pool.submit(flood, connection, LIVE * 1000, 200_000 * len(LIVE), 1)
            flooding.result()
        (ours,) = [one for one in protocols(service) if one._unread]
        assert len(ours._unread) <= MIB
        assert not ours.pipeline
        assert len(service.server.server_state.tasks) <= 2  # the first request, and nothing for those behind it
        network.gate.set()


def test_ordinary_pipelining_in_large_reads_is_answered_in_order(service: RunningService) -> None:
    numbers = range(2500)
    requests = b"".join(
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: n%d\r\nX-Padding: %b\r\n\r\n" % (number, b"y" * 60)
        for number in numbers
    )
    assert len(requests) > 4 * 2**16
    last = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with closing(connect(service)) as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, requests + WHOLE + WHOLE + last)
        received = read_all(connection)
        sending.result()
    assert [int(number) for number in re.findall(rb"x-request-id: n(\d+)\r\n", received)] == list(numbers)
    assert received.count(b"HTTP/1.1 200 ") == len(numbers) + 3
    assert received.count(b'"predictions"') == 2


def test_chunked_requests_behind_each_other(service: RunningService) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nX-Trailer: 0\r\n\r\n" % (len(RED), RED)
    last = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with closing(connect(service)) as connection:
        connection.sendall(chunked * 20 + LIVE * 20 + last)
        assert read_all(connection).count(b"HTTP/1.1 200 ") == 41


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, network: DummyNetwork) -> Iterator[RunningService]:
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)
    with running(dummy_model(network)) as service:
        yield service


@pytest.mark.parametrize("start", [b"", POST, LIVE + b"GET"], ids=["nothing", "half a head", "half a second head"])
def test_a_head_has_so_much_time(impatient: RunningService, start: bytes) -> None:
    with closing(connect(impatient)) as connection:
        connection.sendall(start)
        received = read_all(connection)  # ends, which is the point
    assert b"HTTP/1.1 408 " in received
    assert b'"upload_timeout"' in received


def test_a_head_that_comes_drop_by_drop_has_no_more_time(impatient: RunningService) -> None:
    with closing(connect(impatient)) as connection:
        began = time.monotonic()
        with suppress(OSError):
            for byte in LIVE[:-2]:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)  # time itself is the subject
        assert b"HTTP/1.1 408 " in read_all(connection)
        assert time.monotonic() - began < 2


def test_an_idle_connection_that_has_asked_before_is_kept(impatient: RunningService) -> None:
    with closing(connect(impatient)) as connection:
        for _ in range(2):
            connection.sendall(LIVE)
            assert connection.recv(2**16).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.6)  # longer than a head may take; time itself is the subject


def test_half_open_connections_lock_nobody_out(network: DummyNetwork, caplog: pytest.LogCaptureFixture) -> None:
    with running(dummy_model(network), max_connections=20) as service, ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(closing(connect(service))).sendall(b"POST /predict HTTP/1.1\r\nX: ")
        assert httpx.get(f"{service.url}/livez").status_code == 200
        metrics = httpx.get(f"{service.url}/metrics").text
        assert "connections 20.0" in metrics
        assert re.search(r'connections_closed_total\{reason="idle"\} 4\d\.0', metrics)
    assert caplog.text.count("VGG_MAX_CONNECTIONS") == 1


def test_where_all_are_busy_a_newcomer_is_told_to_come_back(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network), max_connections=3) as service, ThreadPoolExecutor(3) as pool:
        service.client.close()  # its idle connection
        busy = [pool.submit(httpx.post, f"{service.url}/predict", files={"file": RED}) for _ in range(3)]
        wait_until(lambda: service.service.admission.in_flight == 3)
        with closing(connect(service)) as connection:
            received = read_all(connection)
        assert received.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 1\r\n" in received
        assert b'"queue_full"' in received
        network.gate.set()
        assert [future.result().status_code for future in busy] == [200, 200, 200]
        service.client = httpx.Client(base_url=service.url)


def test_thousands_of_headers_are_too_many(service: RunningService) -> None:
    for end in (b"", b"\r\n"):
        with closing(connect(service)) as connection:
            connection.sendall(POST + b"".join(b"%x:\r\n" % number for number in range(1000)) + end)
            received = read_all(connection)
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"more than 256 headers" in received
    assert service.service.admission.in_flight == 0


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux ends such connections, other systems do not")
def test_who_does_not_read_the_answer_loses_the_connection(
    monkeypatch: pytest.MonkeyPatch, network: DummyNetwork
) -> None:
    monkeypatch.setattr(protocol, "SEND_S", 0.5)
    large = b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(dummy_model(network)) as service, closing(connect(service)) as connection:
        connection.sendall(large * 50)
        wait_until(lambda: any(one.flow.write_paused for one in protocols(service)))
        wait_until(lambda: not any(one.flow.write_paused for one in protocols(service)), 10)
        assert service.client.get("/livez").status_code == 200


def test_who_does_not_read_an_answer_does_not_keep_the_connection(
    network: DummyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SEND_S", 0.3)
    with running(dummy_model(network)) as service, closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        address = httpx.URL(service.url)
        connection.connect((address.host, address.port or 80))
        connection.sendall(b"GET /models/vgg16 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        wait_until(lambda: any(one._answering for one in protocols(service)))
        wait_until(lambda: not any(one._answering for one in protocols(service)))
        assert service.client.get("/livez").status_code == 200


# uvicorn's protocol and server are no public interface: where one of these names is gone, ours is never called.
OVERRIDDEN = {
    HttpToolsProtocol: {
        "connection_made", "connection_lost", "data_received", "on_message_begin", "on_header", "on_headers_complete",
        "on_body", "on_message_complete", "on_response_complete", "_unset_keepalive_if_required", "shutdown",
        "pause_writing", "resume_writing",
    },
    Server: {"run", "serve", "main_loop", "handle_exit"},
}  # fmt: skip


@pytest.mark.parametrize("theirs", OVERRIDDEN, ids=lambda theirs: theirs.__name__)
def test_what_is_overridden_is_still_there(theirs: type) -> None:
    assert OVERRIDDEN[theirs] <= vars(theirs).keys()


def test_what_is_relied_on_is_still_there(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, closing(connect(service)) as connection:
        connection.sendall(WHOLE)
        wait_until(lambda: service.service.admission.in_flight == 1)
        (ours,) = [one for one in protocols(service) if one._answering]
        relied_on = {
            ours: ("parser", "cycle", "flow", "headers", "transport", "loop"),
            ours.cycle: ("body", "more_body", "message_event", "response_complete", "response_started", "keep_alive"),
            service.server: ("servers", "server_state", "lifespan", "config"),
        }
        for owner, names in relied_on.items():
            assert all(name in vars(owner) for name in names), owner
        network.gate.set()
