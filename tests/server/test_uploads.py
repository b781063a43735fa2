"""Uploads that want all of the memory: what they hold, who makes room, and that nothing is left of them."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import httpx
import pytest

from app.serving.tally import Field
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running, wait_until
from tests.server.test_floods import connect, read_all

RED = png((200, 10, 10))
MIB = 2**20
BATCH = b"POST /predict/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
RAW = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
# One batch of 4 × 2 MiB and its pixels take 12 of 24 MiB.
SMALL: dict[str, Any] = {"max_buffer_mb": 24, "max_upload_mb": 2, "max_files": 4}


@contextmanager
def watched(service: RunningService) -> Iterator[list[int]]:
    """What buffers hold, again and again; it stays below the bound, and ends at nothing."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(service.service.buffers.held_bytes)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield seen
        finally:
            done.set()
            watching.result()
    assert max(seen) <= service.service.settings.max_buffer_bytes
    nothing_is_left(service)


def nothing_is_left(service: RunningService) -> None:
    wait_until(lambda: service.service.admission.in_flight == 0)
    wait_until(lambda: service.service.arrivals.charged_bytes == service.service.buffers.held_bytes == 0)
    assert not service.service.arrivals.arriving
    row = service.service.row
    slots = len(row.tally.values) // row.tally.rows
    assert not any(row.get(slot) for slot in range(len(Field), slots))  # nobody is charged any more


def test_many_uploads_at_once_stay_below_the_bound(network: DummyNetwork) -> None:
    """They would take 300 MiB: more than a caller's share, and more than all of the buffer."""
    large = RED + os.urandom(2 * MIB - len(RED))
    with running(dummy_model(network), **SMALL) as service, watched(service) as seen, ThreadPoolExecutor(40) as pool:
        form = [("file", ("x", large))] * 4

        def send(_: int) -> int:
            return httpx.post(f"{service.url}/predict/batch", files=form, timeout=30).status_code

        statuses = list(pool.map(send, range(40)))
        assert set(statuses) <= {200, 429}
        assert statuses.count(200) >= 1
        assert service.client.post("/predict/batch", files=form).status_code == 200
    assert max(seen) > 4 * MIB


def test_whoever_announces_much_and_sends_nothing_keeps_nobody_out(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service, ExitStack() as stack:
        for _ in range(40):
            silent = stack.enter_context(closing(connect(service)))
            silent.sendall(BATCH + b"Content-Length: %d\r\n\r\n" % (512 * MIB))
        arrivals = service.service.arrivals
        wait_until(lambda: len(arrivals.arriving) >= 10)
        for _ in range(20):
            wait_until(lambda: service.predict(RED).status_code == 200, 3)
        stack.close()
        nothing_is_left(service)


def test_the_slowest_is_told_to_come_back(network: DummyNetwork) -> None:
    with running(dummy_model(network), **SMALL) as service, watched(service), closing(connect(service)) as slow:
        slow.sendall(BATCH + b"Content-Length: %d\r\n\r\n" % (8 * MIB) + PART + bytes(1 * MIB) + b"\r\n" + PART)
        arrivals = service.service.arrivals
        wait_until(lambda: arrivals.charged_bytes > MIB)
        (arrival,) = arrivals.arriving
        wait_until(lambda: arrival.age_s > 1.2)
        with ThreadPoolExecutor(8) as pool:
            network.gate.clear()
            large = RED + bytes(2 * MIB - len(RED))
            others = [pool.submit(httpx.post, f"{service.url}/predict", files={"file": large}) for _ in range(6)]
            wait_until(lambda: arrival.pushed_out)
            assert b"HTTP/1.1 429 " in (received := read_all(slow))
            assert b"retry-after: 1\r\n" in received.lower()
            assert b'"queue_full"' in received
            network.gate.set()
            assert 200 in {other.result().status_code for other in others}
        assert service.metric('requests_cancelled_total{reason="pushed_out"}') >= 1


def test_a_caller_who_has_its_share_is_told_so(network: DummyNetwork) -> None:
    """Nobody of them is slow: they have all arrived."""
    network.gate.clear()
    large = RED + bytes(2 * MIB - len(RED))
    with (
        running(dummy_model(network), api_keys="a,b", **SMALL) as service,
        watched(service),
        ThreadPoolExecutor(8) as pool,
    ):

        def send(key: str) -> httpx.Response:
            return httpx.post(f"{service.url}/predict", files={"file": large}, headers={"x-api-key": key}, timeout=30)

        held = [pool.submit(send, "a") for _ in range(5)]
        wait_until(lambda: service.service.buffers.held_bytes > 10 * MIB)
        check_problem(refused := send("a"), 429, "too_many_requests")
        assert refused.headers["retry-after"] == "1"
        other = pool.submit(send, "b")
        wait_until(lambda: service.service.buffers.held_bytes > 12 * MIB)
        network.gate.set()
        assert [future.result().status_code for future in (*held, other)] == [200] * 6


def test_proxies_are_believed_and_their_callers_told_apart(network: DummyNetwork) -> None:
    network.gate.clear()
    large = RED + bytes(2 * MIB - len(RED))
    with (
        running(dummy_model(network), proxies="127.0.0.1", **SMALL) as service,
        watched(service),
        ThreadPoolExecutor(8) as pool,
    ):

        def send(caller: str) -> httpx.Response:
            forwarded = {"x-forwarded-for": f"1.2.3.4, {caller}"}
            return httpx.post(f"{service.url}/predict", files={"file": large}, headers=forwarded, timeout=30)

        held = [pool.submit(send, "192.0.2.1") for _ in range(5)]
        wait_until(lambda: service.service.buffers.held_bytes > 10 * MIB)
        check_problem(send("192.0.2.1"), 429, "too_many_requests")
        other = pool.submit(send, "192.0.2.2")
        wait_until(lambda: service.service.buffers.held_bytes > 12 * MIB)
        network.gate.set()
        assert [future.result().status_code for future in (*held, other)] == [200] * 6


def test_chunked_batches_are_answered_on_an_idle_service(service: RunningService) -> None:
    form = {"content-type": "multipart/form-data; boundary=b"}
    body = (PART + RED + b"\r\n") * 3 + b"--b--\r\n"
    response = service.client.post("/predict/batch", content=iter([body[:500], body[500:]]), headers=form)
    assert [result["status"] for result in response.json()["results"]] == [200] * 3
    nothing_is_left(service)


@pytest.mark.parametrize("start", [RAW, BATCH], ids=["raw", "form"])
def test_who_leaves_in_the_middle_leaves_nothing(service: RunningService, start: bytes) -> None:
    with watched(service):
        for _ in range(100):
            with closing(connect(service)) as connection:
                connection.sendall(start + b"Content-Length: %d\r\n\r\n" % MIB + PART + bytes(MIB // 4))
        assert service.predict(RED).status_code == 200


@pytest.mark.parametrize(
    ("changes", "headers", "code"),
    [
        ({"upload_timeout_s": 0.3}, b"", b"upload_timeout"),
        ({}, b"X-Request-Timeout-Ms: 300\r\n", b"deadline_exceeded"),
    ],
)
def test_time_that_is_over_frees_what_has_come(
    network: DummyNetwork, changes: dict[str, Any], headers: bytes, code: bytes
) -> None:
    with (
        running(dummy_model(network), max_upload_mb=1, **changes) as service,
        watched(service) as seen,
        closing(connect(service)) as connection,
    ):
        connection.sendall(RAW + headers + b"Content-Length: %d\r\n\r\n" % MIB + bytes(MIB // 2))
        assert code in read_all(connection)
        assert max(seen) > MIB // 4


def test_problems_of_single_files_hold_nothing(network: DummyNetwork) -> None:
    with running(dummy_model(network), max_upload_mb=0.1, max_files=4) as service, watched(service):
        sent = (RED, bytes(300_000), b"", b"text")
        results = service.client.post("/predict/batch", files=[("file", data) for data in sent]).json()["results"]
        codes = [result.get("code", 200) for result in results]
        assert codes == [200, "payload_too_large", "missing_file", "unsupported_media_type"]


def test_a_drain_waits_for_uploads_and_nothing_is_left(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        with closing(connect(service)) as connection:
            connection.sendall(RAW + b"Content-Length: %d\r\n\r\n" % len(RED) + RED[:100])
            wait_until(lambda: service.service.admission.in_flight == 1)
            service.server.handle_exit(2, None)
            wait_until(lambda: service.service.lifecycle.state == "draining")
            connection.sendall(RED[100:])
            assert b"HTTP/1.1 200 " in read_all(connection)
        nothing_is_left(service)


def test_drips_are_seen_as_they_come(service: RunningService) -> None:
    """The connection gathers pieces for a while; what has come counts for the upload's speed all the same."""
    with closing(connect(service)) as connection:
        connection.sendall(RAW + b"Content-Length: 1000\r\n\r\n")
        arrivals = service.service.arrivals
        wait_until(lambda: bool(arrivals.arriving))
        (arrival,) = arrivals.arriving

        def drip() -> bool:
            with suppress(OSError):
                connection.sendall(b"x")
            return arrival.received_bytes > 3

        wait_until(drip, 5)
