import httpx
import pytest

from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.running import RunningService, running


def search(service: RunningService, **query: str | int) -> httpx.Response:
    return service.client.get("/labels", params=query)


def test_a_class_is_found_with_all_of_its_names(service: RunningService) -> None:
    answer = search(service, q="二哈").json()
    assert answer["model"]["name"] == "vgg16"
    assert answer["total"] == 1
    (husky,) = answer["labels"]
    assert (husky["class_index"], husky["wnid"]) == (250, "n02110185")
    assert (husky["label_en"], husky["label_zh"], husky["matched"]) == ("Siberian husky", "哈士奇犬", "二哈")
    assert "西伯利亚雪橇犬" in husky["synonyms_zh"]
    assert husky["synonyms_en"] == ["husky"]


def test_more_are_counted_than_returned(service: RunningService) -> None:
    first = search(service, q="犬", limit=3).json()
    assert len(first["labels"]) == 3
    every = search(service, q="犬", limit=1000).json()
    assert first["total"] == every["total"] == len(every["labels"]) > 80
    assert every["labels"][:3] == first["labels"]
    assert len(search(service, q="犬").json()["labels"]) == 20


def test_nothing_found_is_an_answer(service: RunningService) -> None:
    response = search(service, q="unicorn")
    assert (response.status_code, response.json()["total"], response.json()["labels"]) == (200, 0, [])


@pytest.mark.parametrize(
    "query",
    [{}, {"q": ""}, {"q": "…"}, {"q": "x" * 101}, {"q": "cat", "limit": 0}, {"q": "cat", "limit": 1001},
     {"q": "cat", "limit": "all"}, {"q": "cat", "top_k": 5}],
)  # fmt: skip
def test_an_invalid_search_is_refused(service: RunningService, query: dict[str, str | int]) -> None:
    check_problem(search(service, **query), 422, "invalid_parameter")


def test_another_model_is_searched_by_its_name() -> None:
    labels = dummy_model(DummyNetwork()).labels
    with running(
        dummy_model(DummyNetwork()), dummy_model(DummyNetwork(classes=2), "fish", labels=labels[:2])
    ) as service:
        assert search(service, q="鱼", model="fish").json()["total"] == 2
        assert search(service, q="犬", model="fish").json()["total"] == 0
        check_problem(search(service, q="犬", model="birds"), 404, "model_not_found")


def test_a_key_is_needed_where_there_are_keys() -> None:
    with running(dummy_model(DummyNetwork()), api_keys="secret") as service:
        check_problem(search(service, q="cat"), 401, "unauthorized")
        check_problem(search(service, limit=0), 401, "unauthorized")
        assert service.client.get("/labels", params={"q": "cat"}, headers={"X-API-Key": "secret"}).status_code == 200
