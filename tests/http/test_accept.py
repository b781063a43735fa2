"""What stands in the way of a prediction, in its order, and that a place is held no longer than it is needed."""

from collections.abc import Iterator

import pytest

from app.errors import InvalidParameter
from app.http.accept import PredictQuery, choose_top_k, read_key, read_query
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running

RED = png((200, 10, 10))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"x-api-key": "a"}, "a"),
        ({"authorization": "Bearer  b "}, "b"),
        ({"authorization": "bearer b"}, "b"),
        ({"authorization": "Basic b"}, None),
        ({"authorization": "Bearer"}, ""),
        ({"x-api-key": "a", "authorization": "Bearer b"}, "a"),
    ],
)
def test_where_a_key_may_stand(headers: dict[str, str], key: str | None) -> None:
    assert read_key(headers) == key


def test_what_may_be_asked_for() -> None:
    assert read_query(b"") == PredictQuery()
    assert read_query(b"model=vgg16&top_k=3") == PredictQuery(model="vgg16", top_k=3)
    for wrong, words in ((b"top_k=0", "top_k"), (b"topk=3", "topk"), (b"top_k=three", "top_k")):
        with pytest.raises(InvalidParameter, match=words):
            read_query(wrong)


def test_a_query_is_bounded_before_it_is_taken_apart() -> None:
    with pytest.raises(InvalidParameter, match="at most 1024 bytes"):
        read_query(b"a=b&" * 15_000)


@pytest.fixture
def guarded() -> Iterator[RunningService]:
    with running(dummy_model(DummyNetwork()), api_keys="key", max_upload_mb=0.1) as service:
        yield service


def test_the_cheapest_to_find_out_comes_first(guarded: RunningService) -> None:
    """Each request has all of the later faults, too."""
    url, key, late = "/predict?model=resnet", {"x-api-key": "key"}, {"x-request-timeout-ms": "soon"}
    large = bytes(300_000)
    check_problem(guarded.client.post("/predict?top_k=0", content=large, headers=late), 401, "unauthorized")
    check_problem(guarded.client.post("/predict?top_k=0", content=large, headers=key | late), 422, "invalid_parameter")
    check_problem(guarded.client.post(url, content=large, headers=key | late), 422, "invalid_parameter")
    check_problem(guarded.client.post(url, content=large, headers=key), 413, "payload_too_large")
    check_problem(guarded.client.post(url, content=b"text", headers=key), 404, "model_not_found")
    check_problem(guarded.client.post("/predict", content=b"text", headers=key), 415, "unsupported_media_type")


def test_no_place_is_held_after_an_answer(guarded: RunningService) -> None:
    for data in (RED, b"text", b"", bytes(300_000)):
        guarded.client.post("/predict", files={"file": data}, headers={"x-api-key": "key"})
    assert guarded.service.admission.in_flight == 0
    assert guarded.service.arrivals.charged_bytes == guarded.service.buffers.held_bytes == 0


def test_how_many_classes_are_answered(network: DummyNetwork) -> None:
    model = dummy_model(network)
    assert choose_top_k(None, model) == 5
    assert choose_top_k(1000, model) == 1000
    assert choose_top_k(None, dummy_model(DummyNetwork(), labels=model.labels[:2])) == 2
    for wrong in (0, 1001):
        with pytest.raises(InvalidParameter, match="between 1 and 1000"):
            choose_top_k(wrong, model)
