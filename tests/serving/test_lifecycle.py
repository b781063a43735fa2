"""Where the service is in its life, as its callers and its probes see it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.model.registry import LoadedModel
from app.serving.batcher import Batcher
from app.serving.lifecycle import State
from tests.contract import check_problem
from tests.dummy import POISON_BLUE, DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import listens, running, wait_until

RED = png((200, 10, 10))


def test_not_ready_before_the_models_are_loaded(network: DummyNetwork) -> None:
    loaded = threading.Event()

    def load(_: str) -> LoadedModel:
        loaded.wait(20)
        return dummy_model(network)

    with running(dummy_model(network), load=load, wait=False) as service:
        check_problem(service.client.get("/readyz"), 503, "not_ready")
        check_problem(service.predict(RED), 503, "not_ready")
        assert service.client.get("/livez").json() == {"status": "live"}
        loaded.set()
        wait_until(lambda: service.client.get("/readyz").status_code == 200)
        assert service.predict(RED).status_code == 200


def test_draining(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        service.service.lifecycle.become(State.LEAVING, "told to stop")
        check_problem(service.client.get("/readyz"), 503, "draining")
        assert service.predict(RED).status_code == 200  # load balancers need a moment to notice
        service.service.lifecycle.become(State.DRAINING, "told to stop")
        check_problem(service.predict(RED), 503, "draining")
        assert service.client.get("/livez").status_code == 200


def test_internal_is_the_culprits_alone(network: DummyNetwork) -> None:
    poison = png((1, 2, POISON_BLUE))
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(8) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: network.begun == 1)
        good = [pool.submit(service.predict, png((number, 0, 0))) for number in range(6)]
        bad = pool.submit(service.predict, poison)
        wait_until(lambda: service.metric("queue_depth") == 7)
        network.gate.set()
        assert [future.result().json()["predictions"][0]["class_index"] for future in good] == list(range(6))
        assert first.result().status_code == 200
        problem = check_problem(bad.result(), 500, "internal")
        assert "poison" not in str(problem)


def test_a_dead_batch_loop_is_not_ready_and_stops_the_server(
    network: DummyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, key: object) -> None:
        raise LookupError

    with running(dummy_model(network)) as service:
        monkeypatch.setattr(Batcher, "_limit", broken)
        check_problem(service.predict(RED), 500, "internal")
        wait_until(lambda: not listens(service.url))
        assert service.service.lifecycle.state is State.FAILED


def test_a_network_beyond_use_is_not_ready_and_stops_the_server(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        network.broken = True
        check_problem(service.predict(RED), 500, "internal")
        wait_until(lambda: not listens(service.url))
        assert service.service.lifecycle.state is State.FAILED


def test_a_forward_pass_that_never_ends_stops_the_server(network: DummyNetwork) -> None:
    with running(dummy_model(network), forward_timeout_s=0.3) as service, ThreadPoolExecutor(1) as pool:
        network.gate.clear()
        hanging = pool.submit(service.predict, RED)
        wait_until(lambda: not listens(service.url))
        check_problem(hanging.result(), 500, "internal")  # its caller need not wait for ever either
        assert service.service.lifecycle.state is State.FAILED
        assert network.batches == []  # it still hangs
        network.gate.set()
