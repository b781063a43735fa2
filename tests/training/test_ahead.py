import threading
from collections.abc import Iterator

import pytest

from app.training.ahead import map_ahead


def test_results_come_in_order_whichever_is_done_first() -> None:
    first_may_end = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(10)
        if number == 3:
            first_may_end.set()
        return number * number

    assert list(map_ahead(work, range(8), workers=4, ahead=4)) == [n * n for n in range(8)]


def test_no_more_is_begun_than_may_wait() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number, items(), workers=2, ahead=5)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) == 8
    results.close()  # type: ignore[attr-defined]
    assert len(taken) == 8


def test_an_error_comes_in_its_turn_and_ends_the_rest() -> None:
    def work(number: int) -> int:
        return 10 // (2 - number)

    results = map_ahead(work, range(50), workers=2, ahead=10)
    assert [next(results), next(results)] == [5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
