import numpy as np
import pytest

from app.errors import ModelNotFound
from app.model.registry import Item, Registry, run
from tests.dummy import DummyNetwork, dummy_model


def test_every_item_gets_as_many_candidates_as_it_asked_for() -> None:
    items = [Item(np.full((224, 224, 3), value, dtype=np.uint8), k) for value, k in ((10, 1), (20, 3), (30, 2))]
    answers = run(dummy_model(DummyNetwork()), items)
    assert [len(answer) for answer in answers] == [1, 3, 2]
    assert [answer[0].class_index for answer in answers] == [10 + 256, 20 + 512, 30]


def test_a_replacement_takes_the_name_and_shares_no_batch() -> None:
    registry = Registry("a")
    first, second = dummy_model(DummyNetwork(), "a"), dummy_model(DummyNetwork(), "a")
    registry.add(first)
    assert registry.get() is registry.get("a") is first
    registry.add(second)
    assert registry.get() is second
    assert first != second
    assert registry.all() == [second]


def test_an_unknown_name_lists_what_is_served() -> None:
    registry = Registry("a")
    registry.add(dummy_model(DummyNetwork(), "b"))
    with pytest.raises(ModelNotFound, match="Served: b"):
        registry.get("c")
