"""Who may call, and how much each of them at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running, wait_until

RED = png((200, 10, 10))


@pytest.fixture
def locked(network: DummyNetwork) -> Iterator[RunningService]:
    with running(dummy_model(network), api_keys="first, second", max_requests_per_key=2) as service:
        yield service


def test_unauthorized(locked: RunningService) -> None:
    client = locked.client
    check_problem(locked.predict(RED), 401, "unauthorized")
    for headers in ({"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic first"}):
        response = client.post("/predict", files={"file": RED}, headers=headers)
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
    for path in ("/models", "/models/vgg16"):
        check_problem(client.get(path), 401, "unauthorized")
    check_problem(client.post("/models/vgg16/load"), 401, "unauthorized")
    for headers in ({"x-api-key": "first"}, {"authorization": "Bearer second"}):
        assert client.post("/predict", files={"file": RED}, headers=headers).status_code == 200
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_forbidden(service: RunningService) -> None:
    check_problem(service.client.post("/models/vgg16/load"), 403, "forbidden")


def test_too_many_requests(locked: RunningService, network: DummyNetwork) -> None:
    network.gate.clear()

    def post(key: str) -> httpx.Response:
        return httpx.post(f"{locked.url}/predict", files={"file": RED}, headers={"x-api-key": key}, timeout=30)

    with ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(post, "first") for _ in range(2)]
        wait_until(lambda: locked.service.admission.in_flight == 2)
        refused = post("first")
        other = pool.submit(post, "second")
        wait_until(lambda: locked.service.admission.in_flight == 3)
        network.gate.set()
        assert [future.result().status_code for future in (*accepted, other)] == [200, 200, 200]
    check_problem(refused, 429, "too_many_requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert post("first").status_code == 200
