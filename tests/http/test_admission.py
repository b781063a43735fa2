"""How much at once, seen over HTTP and from inside."""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.errors import QueueFull, TooManyRequests
from app.http.admission import Admission
from app.serving.lifecycle import Lifecycle, State
from app.serving.tally import Tally
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import running, wait_until

RED = png((200, 10, 10))
STALLED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nxx"


def make(*, rate: float | None = None, **limits: Any) -> Admission:
    lifecycle = Lifecycle()
    lifecycle.become(State.READY, "")
    most = {"max_queue_size": 100, "max_queue_delay_s": 2.0, "max_requests_per_key": None} | limits
    return Admission(lifecycle, lambda: rate, Tally(1, ["a"]).row(0), **most)


def test_queue_full_is_exact_and_says_when_to_come_back(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network), max_queue_size=5) as service, ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(service.predict, RED) for _ in range(16)]
        wait_until(lambda: sum(future.done() for future in futures) == 11)
        assert service.service.admission.in_flight == 5
        assert service.client.get("/readyz").status_code == 200  # being busy is not being ill
        network.gate.set()
        responses = [future.result() for future in futures]
        refused = [response for response in responses if response.status_code != 200]
        assert len(refused) == 11
        for response in refused:
            check_problem(response, 429, "queue_full")
            assert int(response.headers["retry-after"]) >= 1
        assert service.predict(RED).status_code == 200


def test_a_wait_longer_than_promised_is_refused_at_once() -> None:
    network = DummyNetwork(0.2)
    with running(dummy_model(network, max_batch_size=1), max_queue_delay_s=0.5) as service:
        service.predict(RED)  # 5 images a second, measured
        with ThreadPoolExecutor(10) as pool:
            responses = list(pool.map(lambda _: service.predict(RED), range(10)))
        codes = [response.status_code for response in responses]
        assert codes.count(200) >= 3
        assert codes.count(429) >= 5
        assert set(codes) == {200, 429}
        detail = next(response for response in responses if response.status_code == 429)
        check_problem(detail, 429, "queue_full")


def test_uploads_that_stall_lock_nobody_out() -> None:
    with running(dummy_model(DummyNetwork(0.025), max_batch_size=1), max_queue_delay_s=0.5) as service:
        service.predict(RED)  # at most 40 images a second, measured: 40 requests are at least 1 s of work
        address = httpx.URL(service.url)
        idle = [socket.create_connection((address.host, address.port or 80)) for _ in range(40)]
        for connection in idle[:10]:
            connection.sendall(STALLED)
        admission = service.service.admission
        wait_until(lambda: admission.in_flight == 10 and not admission._expected_delay_s())  # ten have stalled
        for connection in idle[10:]:
            connection.sendall(STALLED)
        wait_until(lambda: admission._expected_delay_s() > 0.5)
        check_problem(service.predict(RED), 429, "queue_full")  # they may all be about to arrive
        wait_until(lambda: service.predict(RED).status_code == 200)  # they are not
        for connection in idle:
            connection.close()


def test_stalled_uploads_take_nobodys_place_until_they_go_on(network: DummyNetwork) -> None:
    """As many as the queue has places, at no bandwidth; one of them goes on when the queue is full of others."""
    with running(dummy_model(network), max_queue_size=4) as service, ThreadPoolExecutor(4) as pool:
        address = httpx.URL(service.url)
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(RED)
        stalled = [socket.create_connection((address.host, address.port or 80), 20) for _ in range(4)]
        for connection in stalled:
            connection.sendall(head)
        wait_until(lambda: service.service.admission.in_flight == 4)
        check_problem(service.predict(RED), 429, "queue_full")  # they may all be about to arrive
        wait_until(lambda: service.predict(RED).status_code == 200)  # they are not
        network.gate.clear()
        others = [pool.submit(service.predict, RED) for _ in range(4)]
        wait_until(lambda: service.service.admission.in_flight == 8)
        stalled[0].sendall(RED)
        assert b"HTTP/1.1 429 " in stalled[0].recv(65536)
        network.gate.set()
        assert [other.result().status_code for other in others] == [200] * 4
        stalled[1].sendall(RED)
        assert b"HTTP/1.1 200 " in stalled[1].recv(65536)
        for connection in stalled:
            connection.close()


def test_views_count_for_other_evaluations_and_hold_up_no_single_image() -> None:
    admission = make(rate=10)
    with admission.admit(None) as first:
        admission.arrive(first, 1, 150)  # alone it may take as long as it takes
        with admission.admit(None) as second:
            with pytest.raises(QueueFull, match="150 views"):
                admission.arrive(second, 1, 10)
            admission.arrive(second, 1)  # a single image does not wait for them
        with admission.admit(None):
            pass
    with admission.admit(None) as third:
        admission.arrive(third, 1, 10)
        with admission.admit(None) as fourth:
            admission.arrive(fourth, 1, 5)
            admission.take_more(fourth, 10)  # the delay is known, and short
            with admission.admit(None) as fifth, pytest.raises(QueueFull, match="25 views"):
                admission.arrive(fifth, 1, 10)
    assert admission.in_flight == 0


def test_a_keys_views_count_unless_it_has_nothing_else() -> None:
    admission = make(max_requests_per_key=8)
    with admission.admit("a") as first:
        admission.arrive(first, 1, 50)
        with pytest.raises(TooManyRequests), admission.admit("a"):
            pass
    with admission.admit("a") as second, admission.admit("a") as third:
        admission.arrive(second, 1)
        with pytest.raises(TooManyRequests):
            admission.arrive(third, 1, 50)
