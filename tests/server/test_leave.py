"""Leaving: delay, refuse, finish, stop accepting, close."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.serving.lifecycle import State
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running, wait_until

ENDLESS_S = 600


def is_gone(service: RunningService) -> bool:
    url = httpx.URL(service.url)
    try:
        socket.create_connection((url.host, url.port or 80), 1).close()
    except OSError:
        return True
    return False


def test_sigterm_finishes_what_was_accepted() -> None:
    network = DummyNetwork()
    network.gate.clear()
    with running(dummy_model(network), drain_delay_s=0.4) as service, ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(service.predict, png((1, 2, 3))) for _ in range(3)]
        wait_until(lambda: service.service.admission.in_flight == 3)
        service.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: service.client.get("/readyz").json().get("code") == "draining")
        late = pool.submit(service.predict, png((1, 2, 3)))  # within the delay: still served
        wait_until(lambda: service.service.admission.in_flight == 4)
        wait_until(lambda: service.service.lifecycle.state is State.DRAINING)
        refused = service.predict(png((1, 2, 3)))
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        network.gate.set()
        assert [future.result().status_code for future in (*accepted, late)] == [200] * 4


def test_an_endless_request_does_not_hold_the_process_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    network = DummyNetwork()
    network.gate.clear()
    with running(dummy_model(network), drain_timeout_s=0.3) as service, ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(service.predict, png((1, 2, 3)))
        wait_until(lambda: service.service.admission.in_flight == 1)
        service.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: "Closing with 1 requests unfinished" in caplog.text)
        network.gate.set()
        assert stuck.result().status_code == 200


def test_sigint_skips_the_delay(network: DummyNetwork) -> None:
    with running(dummy_model(network), drain_delay_s=ENDLESS_S) as service:
        service.server.handle_exit(signal.SIGINT, None)
        wait_until(lambda: is_gone(service))


def test_sigint_ends_a_delay_that_has_begun(network: DummyNetwork) -> None:
    with running(dummy_model(network), drain_delay_s=ENDLESS_S) as service:
        service.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: service.service.lifecycle.state is State.LEAVING)
        assert service.predict(png((1, 2, 3))).status_code == 200
        service.server.handle_exit(signal.SIGINT, None)
        wait_until(lambda: is_gone(service))


def test_a_second_sigint_waits_for_nobody(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network), drain_timeout_s=ENDLESS_S) as service, ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(service.predict, png((1, 2, 3)))
        wait_until(lambda: service.service.admission.in_flight == 1)
        service.server.handle_exit(signal.SIGINT, None)
        wait_until(lambda: service.service.lifecycle.state is State.DRAINING)
        service.server.handle_exit(signal.SIGINT, None)
        assert (stuck.result().status_code, stuck.result().json()["code"]) == (503, "draining")
        wait_until(lambda: is_gone(service))
        network.gate.set()


def test_a_connection_made_while_the_last_request_is_answered_gets_its_503(network: DummyNetwork) -> None:
    """Nothing accepted is reset: a client that connected but has not asked yet is told, and then let go."""
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(1) as pool:
        last = pool.submit(service.predict, png((1, 2, 3)))
        wait_until(lambda: service.service.admission.in_flight == 1)
        service.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: service.service.lifecycle.state is State.DRAINING)
        url = httpx.URL(service.url)
        with socket.create_connection((url.host, url.port or 80), 5) as connection:
            network.gate.set()
            assert last.result().status_code == 200
            body = png((1, 2, 3))
            head = (
                f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"draining"' in answer
        wait_until(lambda: is_gone(service))
