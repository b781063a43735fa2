"""Work for as long as somebody waits for it."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.errors import DeadlineExceeded, InvalidParameter
from app.http.deadline import deadline, seconds_allowed
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import running, wait_until

RED = png((200, 10, 10))
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


def test_a_request_may_ask_for_less_time_but_not_for_more() -> None:
    assert seconds_allowed(None, 30) == 30
    assert seconds_allowed("1500", 30) == 1.5
    assert seconds_allowed("31000", 30) == 30
    with pytest.raises(InvalidParameter, match="X-Request-Timeout-Ms"):
        seconds_allowed("0", 30)


def test_a_timeout_of_something_inside_is_not_the_deadline() -> None:
    async def own() -> None:
        async with deadline(30):
            raise TimeoutError("a library's")

    async def late() -> None:
        async with deadline(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="a library's"):
        asyncio.run(own())
    with pytest.raises(DeadlineExceeded, match="not answered within"):
        asyncio.run(late())


def test_deadline_exceeded_leaves_the_queue_before_the_network(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: network.begun == 1)
        response = service.client.post("/predict", files={"file": RED}, headers={"x-request-timeout-ms": "150"})
        check_problem(response, 504, "deadline_exceeded")
        network.gate.set()
        assert first.result().status_code == 200
        assert network.batches == [1]


def test_a_client_that_leaves_takes_its_picture_out_of_the_queue(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: network.begun == 1)
        address = httpx.URL(service.url)
        leavers = [socket.create_connection((address.host, address.port or 80)) for _ in range(5)]
        for connection in leavers:
            connection.sendall(HEAD % len(RED) + RED)
        wait_until(lambda: service.metric("queue_depth") == 5)
        for connection in leavers:
            connection.close()
        wait_until(lambda: service.service.admission.in_flight == 1)
        assert service.metric("queue_depth") == 0
        network.gate.set()
        assert first.result().status_code == 200
        assert service.predict(RED).status_code == 200
        assert network.batches == [1, 1]
        assert service.metric('requests_cancelled_total{reason="disconnect"}') == 5
