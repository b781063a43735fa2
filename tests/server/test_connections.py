import resource

import pytest
from prometheus_client import generate_latest

from app.server.connections import RESERVED_DESCRIPTORS, Connections, affordable
from app.serving.metrics import Metrics


class Connection:
    closed = False

    def close(self) -> None:
        self.closed = True


class Case:
    def __init__(self, limit: int) -> None:
        self.metrics = Metrics()
        self.counts: list[int] = []
        self.connections = Connections(limit, self.metrics.connections_closed, self.counts.append)

    def admit(self, count: int) -> list[Connection]:
        admitted = [Connection() for _ in range(count)]
        assert all(self.connections.admit(connection) for connection in admitted)
        return admitted

    def counted(self, name: str) -> float:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return float(next((line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")), 0))


def test_the_longest_idle_one_makes_room() -> None:
    case = Case(3)
    first, second, third = case.admit(3)
    case.connections.busy(first)
    case.admit(1)
    assert (first.closed, second.closed, third.closed) == (False, True, False)
    case.connections.idle(first)  # it has only just fallen idle
    case.admit(1)
    assert (first.closed, third.closed) == (False, True)
    assert case.counts[-1] == 3
    assert case.counted('connections_closed_total{reason="idle"}') == 2


def test_who_has_asked_before_is_not_closed_for_those_who_never_did() -> None:
    case = Case(3)
    (asked,) = case.admit(1)
    case.connections.busy(asked)
    case.connections.idle(asked)
    silent = case.admit(50)
    assert not asked.closed
    assert [one.closed for one in silent] == [True] * 48 + [False] * 2
    for one in silent[-2:]:
        case.connections.busy(one)
    case.admit(1)
    assert asked.closed  # nobody else is idle


def test_a_newcomer_is_refused_when_all_are_busy() -> None:
    case = Case(2)
    for connection in case.admit(2):
        case.connections.busy(connection)
    assert not case.connections.admit(Connection())
    assert case.counted('connections_closed_total{reason="refused"}') == 1
    assert case.counts[-1] == 2


def test_what_is_lost_makes_room_and_is_not_idle_again() -> None:
    case = Case(1)
    (gone,) = case.admit(1)
    case.connections.busy(gone)
    case.connections.lost(gone)
    case.connections.idle(gone)
    case.admit(1)
    assert not gone.closed


def test_it_is_said_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    case = Case(10)
    connections = case.admit(30)
    assert caplog.text.count("There are 10 connections") == 1
    for connection in connections[20:]:
        case.connections.lost(connection)
    case.admit(11)
    assert caplog.text.count("There are 10 connections") == 2


def test_descriptors_bound_what_is_affordable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"now": (256, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    assert affordable(1000) == 1000  # the system's permission is there to be asked for
    assert limits["now"] == (1000 + RESERVED_DESCRIPTORS, 4096)
    limits["now"] = (256, 256)
    assert affordable(1000) == 256 - RESERVED_DESCRIPTORS
    assert "not 1000" in caplog.text
    limits["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert affordable(10**6) == 10**6
