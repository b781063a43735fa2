"""A service of several processes, seen from outside: one service, whatever happens to one of them."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpx
import psutil
import pytest

from tests.contract import check_problem
from tests.dummy import expected_class
from tests.pictures import png
from tests.running import ServiceProcess, running_process, wait_until

RED = png((200, 10, 10))
ENVIRONMENT = {"VGG_FRONTS": "2", "VGG_LOG_FORMAT": "text", "VGG_DECODE_WORKERS": "2"}


class Case:
    """A running service of two fronts, and its processes."""

    def __init__(self, url: str, process: ServiceProcess) -> None:
        self.url = url
        self.process = process

    @property
    def children(self) -> list[psutil.Process]:
        """As they were made: the network's process first, if none has been replaced."""
        return sorted(self.process.tree.children(), key=lambda child: child.pid)

    @property
    def fronts(self) -> list[psutil.Process]:
        """Those that listen."""
        return [child for child in self.children if child.net_connections("tcp")]

    @property
    def network(self) -> psutil.Process:
        (found,) = (child for child in self.children if not child.net_connections("tcp"))
        return found

    def ask(self, color: tuple[int, int, int] = (200, 10, 10), **params: str) -> httpx.Response:
        """On a connection of its own: of several, some go to either front."""
        return httpx.post(f"{self.url}/predict", files={"file": png(color)}, params=params, timeout=30)

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)

    def ready(self) -> bool:
        return httpx.get(f"{self.url}/readyz").status_code == 200


@contextmanager
def serving(**environment: str) -> Iterator[Case]:
    with running_process(ENVIRONMENT | environment, module="tests.dummy_service") as (url, process):
        yield Case(url, process)


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    with serving() as started:
        yield started


def test_every_answer_goes_to_whoever_asked_and_fronts_have_no_models(case: Case) -> None:
    colors = [(number, number % 3, 0) for number in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(case.ask, colors))
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    found = [answer.json()["predictions"][0]["class_index"] for answer in answers]
    assert found == [expected_class(color) for color in colors]
    assert len(case.fronts) == 2
    for front in case.fronts:
        assert not any("torch" in file.path for file in front.memory_maps())


def test_counts_are_those_of_all_whoever_is_asked(case: Case) -> None:
    before = case.metric('requests_total{code="ok",route="/predict"}')
    for _ in range(20):
        assert case.ask().status_code == 200
    for _ in range(10):
        assert case.metric('requests_total{code="ok",route="/predict"}') == before + 20
        assert case.metric("ready") == 1


def test_a_model_that_is_loaded_answers_on_every_front() -> None:
    with serving(VGG_ADMIN_KEYS="admin") as case:
        check_problem(case.ask(model="other"), 404, "model_not_found")
        for name, status, code in (("broken", 503, "not_ready"), ("nothing", 404, "model_not_found")):
            refused = httpx.post(f"{case.url}/models/{name}/load", headers={"x-api-key": "admin"})
            check_problem(refused, status, code)
        loaded = httpx.post(f"{case.url}/models/other/load", headers={"x-api-key": "admin"})
        assert (loaded.status_code, loaded.json()["name"]) == (200, "other")
        answers = [case.ask(model="other") for _ in range(24)]
        assert [answer.status_code for answer in answers] == [200] * 24
        for _ in range(8):
            assert {model["name"] for model in httpx.get(f"{case.url}/models").json()["models"]} == {"vgg16", "other"}


def test_a_front_that_dies_is_replaced_and_the_models_stay_where_they_are() -> None:
    with serving() as case:
        network, victim = case.network, case.fronts[0]
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        assert [case.ask().status_code for _ in range(12)] == [200] * 12  # some wait for the new one
        wait_until(lambda: len(case.fronts) == 2)
        assert case.network == network
        assert case.metric('processes_replaced_total{part="front"}') == 1
        assert case.metric('processes_replaced_total{part="network"}') == 0
        log = case.process.end()
    assert "Front 1 has ended (-9); starting another one." in log


def test_a_networks_process_that_dies_takes_readiness_with_it_and_comes_back() -> None:
    with serving(DUMMY_SECONDS="1") as case, ThreadPoolExecutor(4) as pool:
        fronts, network = case.fronts, case.network
        waiting = [pool.submit(case.ask) for _ in range(4)]
        wait_until(lambda: case.metric("requests_in_flight") == 4)
        network.send_signal(signal.SIGKILL)
        for answer in waiting:
            check_problem(answer.result(), 503, "not_ready")
            assert answer.result().headers["retry-after"]
        wait_until(case.ready)
        assert case.network != network
        assert case.fronts == fronts
        assert case.ask().status_code == 200


def test_limits_are_the_whole_services() -> None:
    environment = {"VGG_MAX_QUEUE_SIZE": "6", "DUMMY_SECONDS": "1.5", "VGG_MAX_QUEUE_DELAY_S": "600"}
    keys = {"VGG_API_KEYS": "one,two", "VGG_MAX_REQUESTS_PER_KEY": "3"}
    with serving(**environment, **keys) as case, ThreadPoolExecutor(24) as pool:

        def ask(number: int) -> str:
            key = {"x-api-key": ("one", "two")[number % 2]}
            answer = httpx.post(f"{case.url}/predict", files={"file": RED}, headers=key, timeout=30)
            return "ok" if answer.status_code == 200 else str(answer.json()["code"])

        found = Counter(pool.map(ask, range(24)))
    # All come at once: two that are admitted in the same microsecond by two processes may both be the last.
    assert 6 <= found["ok"] <= 8
    assert found["ok"] + found["too_many_requests"] + found["queue_full"] == 24


def test_sigterm_loses_nothing_and_is_said_once() -> None:
    with serving(DUMMY_SECONDS="0.5", VGG_DRAIN_DELAY_S="0.3") as case, ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(case.ask, (number, 0, 0)) for number in range(8)]
        wait_until(lambda: case.metric("requests_in_flight") == 8)
        log = case.process.end()
        answers = [future.result() for future in accepted]
    assert [answer.json()["predictions"][0]["class_index"] for answer in answers] == list(range(8))
    assert case.process.status == 0
    for words in ("Stopping: not ready from now on", "Draining: ", "Stopped."):
        assert log.count(words) == 1
    assert "Traceback" not in log


def test_nobody_is_left_when_the_supervisor_is_killed() -> None:
    with serving() as case:
        everybody = case.process.tree.children(recursive=True)
        assert len(everybody) >= 5
        case.process.tree.kill()
        _, alive = psutil.wait_procs(everybody, 15)
        assert not alive


def test_a_service_whose_models_cannot_be_loaded_ends() -> None:
    with running_process(ENVIRONMENT | {"DUMMY_FAILS": "1"}, module="tests.dummy_service", ready=False) as (_, process):
        wait_until(lambda: process.ended)
        log = process.end()
    assert process.status == 1
    assert "it is broken" in log
    assert "Traceback" not in log


def test_a_forward_that_never_ends_costs_the_networks_process_and_not_the_service() -> None:
    with serving(DUMMY_SECONDS="3", VGG_FORWARD_TIMEOUT_S="0.5") as case:
        network = case.network
        began = time.monotonic()
        check_problem(case.ask(), 500, "internal")
        assert time.monotonic() - began < 3
        wait_until(lambda: not network.is_running() and case.ready())


def test_a_second_ctrl_c_waits_for_nobody() -> None:
    with serving(DUMMY_SECONDS="20") as case, ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(case.ask)
        wait_until(lambda: case.metric("requests_in_flight") == 1)
        os.kill(case.process.tree.pid, signal.SIGINT)
        time.sleep(0.3)
        os.kill(case.process.tree.pid, signal.SIGINT)
        check_problem(stuck.result(), 503, "draining")
        wait_until(lambda: case.process.ended, 10)


def test_connections_are_spread_and_limited_over_all_fronts() -> None:
    with serving(VGG_MAX_CONNECTIONS="20") as case:
        clients = [httpx.Client(base_url=case.url) for _ in range(30)]
        for client in clients:
            assert client.get("/livez").status_code == 200
        assert case.metric("connections") <= 21
        for client in clients:
            with closing(client):
                assert client.get("/livez").status_code == 200
