from typing import cast

import numpy as np
import pytest

from app.errors import ModelNotFound
from app.model.registry import Candidate, Item, Registry, Seen, View, run
from tests.dummy import DummyNetwork, dummy_model


def test_every_item_gets_as_many_candidates_as_it_asked_for() -> None:
    items = [Item(np.full((224, 224, 3), value, dtype=np.uint8), k) for value, k in ((10, 1), (20, 3), (30, 2))]
    answers = cast(list[list[Candidate]], run(dummy_model(DummyNetwork()), items))
    assert [len(answer) for answer in answers] == [1, 3, 2]
    assert [answer[0].class_index for answer in answers] == [10 + 256, 20 + 512, 30]


def test_views_and_single_images_share_a_batch() -> None:
    network = DummyNetwork()
    items: list[Item | View] = [
        View(np.full((224, 224, 3), 10, dtype=np.uint8)),
        Item(np.full((224, 224, 3), 20, dtype=np.uint8), 2),
    ]
    seen, best = run(dummy_model(network), items)
    assert network.batches == [2]
    assert isinstance(seen, Seen)
    assert seen.probabilities.argmax() == 10 + 256
    assert isinstance(best, list)
    assert [one.class_index for one in best] == [20 + 512, 0]


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
