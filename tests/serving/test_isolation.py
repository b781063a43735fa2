"""An item that breaks its batch fails alone."""

import weakref
from collections.abc import Sequence

import pytest

from app.errors import BatchTooLarge, InternalError
from app.serving.isolation import Isolation


class Runner:
    """Doubles numbers; a negative one breaks the whole batch, and so does a batch that is too large for it."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.sizes: list[int] = []
        self.checked = 0
        self.shrunk: list[int] = []

    def run(self, _key: str, items: list[int]) -> Sequence[int | Exception]:
        self.sizes.append(len(items))
        if len(items) > self.room:
            raise BatchTooLarge
        if any(item < 0 for item in items):
            raise LookupError("a broken batch")
        return [ValueError("odd") if item == 13 else 2 * item for item in items]

    def check(self, _key: str) -> None:
        self.checked += 1

    def isolated(self) -> Isolation[str, int, int]:
        return Isolation(self.run, self.check, self.shrunk.append)


def test_a_whole_batch_is_run_once_and_an_error_in_its_place_is_one_items_own() -> None:
    runner = Runner()
    one, other, last = runner.isolated().run("key", [1, 13, 3])
    assert (one, last) == (2, 6)
    assert isinstance(other, ValueError)
    assert runner.sizes == [3]


@pytest.mark.parametrize("culprits", [{0}, {7}, {3, 4}, set(range(8))])
def test_culprits_fail_alone_and_the_rest_in_order(culprits: set[int]) -> None:
    runner = Runner()
    outcomes = runner.isolated().run("key", [-1 if place in culprits else place for place in range(8)])
    assert {place for place, outcome in enumerate(outcomes) if isinstance(outcome, LookupError)} == culprits
    assert all(outcome == 2 * place for place, outcome in enumerate(outcomes) if place not in culprits)
    assert runner.checked == len(culprits)


def test_a_device_that_is_full_gets_halves_and_stays_so_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(room=3)
    isolated = runner.isolated()
    assert isolated.bound(16) == 16
    assert isolated.run("key", list(range(8))) == [2 * number for number in range(8)]
    assert runner.shrunk == [4, 2, 2]
    assert isolated.bound(16) == 2
    assert isolated.bound(1) == 1
    monkeypatch.setattr("app.serving.isolation.time.perf_counter", lambda: isolated._ceiling_until + 1)
    assert isolated.bound(16) == 16


def test_one_item_that_does_not_fit_is_an_error_and_the_runner_is_asked() -> None:
    runner = Runner(room=0)
    (outcome,) = runner.isolated().run("key", [1])
    assert isinstance(outcome, BatchTooLarge)
    assert runner.checked == 1


def test_what_a_check_raises_is_let_through() -> None:
    def beyond_use(_key: str) -> None:
        raise OSError("the device is gone")

    with pytest.raises(OSError, match="gone"):
        Isolation(Runner().run, beyond_use, print).run("key", [1, -1])


def test_results_that_do_not_match_are_nobodys() -> None:
    isolated: Isolation[str, int, int] = Isolation(lambda _key, items: items[1:], lambda _key: None, print)
    assert all(isinstance(outcome, InternalError) for outcome in isolated.run("key", [1, 2, 3]))


class Activations:
    """What a batch has on a device while it is run."""


@pytest.mark.parametrize("error", [BatchTooLarge, LookupError])
def test_halves_find_nothing_of_the_batch_that_failed(error: type[Exception]) -> None:
    held: list[weakref.ref[Activations]] = []

    def run(_key: str, items: list[int]) -> Sequence[int]:
        assert not any(one() for one in held)
        activations = Activations()
        held.append(weakref.ref(activations))
        if len(items) > 1:
            raise error
        return items

    isolated: Isolation[str, int, int] = Isolation(run, lambda _key: None, lambda _size: None)
    assert isolated.run("key", list(range(8))) == list(range(8))
    assert len(held) == 15


def test_an_image_that_is_too_large_alone_leaves_nothing_behind() -> None:
    held: list[weakref.ref[Activations]] = []

    def run(_key: str, items: list[int]) -> Sequence[int]:
        activations = Activations()
        held.append(weakref.ref(activations))
        raise BatchTooLarge

    (outcome,) = Isolation(run, lambda _key: None, print).run("key", [1])
    assert isinstance(outcome, BatchTooLarge)
    assert held[0]() is None
