"""The codes of the HTTP contract, each of one error."""

from collections import Counter

import pytest

from app import errors
from app.errors import Draining, ModelError, QueueFull, ServiceError

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ServiceError)]


def test_a_code_means_one_thing() -> None:
    told = [error for error in ALL if error is not ServiceError]  # a bare one is internal, as its child says
    assert [code for code, count in Counter(error.code for error in told).items() if count > 1] == []
    assert [title for title, count in Counter(error.title for error in told).items() if count > 1] == []


@pytest.mark.parametrize("error", ALL)
def test_an_error_is_an_answer(error: type[ServiceError]) -> None:
    assert 400 <= error.status <= 504
    assert error.code == error.code.lower()
    raised = error("This is what was wrong.", {"Retry-After": "3"})
    assert (raised.detail, raised.headers) == ("This is what was wrong.", {"Retry-After": "3"})
    assert str(raised) == raised.detail
    assert error("Alone.").headers == {}


def test_callers_and_operators_are_told_different_things() -> None:
    assert not issubclass(ModelError, ServiceError)
    assert (QueueFull.status, Draining.status) == (429, 503)  # try again here; try again elsewhere
