"""Evaluations asked for over HTTP, answered by the dummy network."""

import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from app.settings import Settings
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model, expected_class
from tests.pictures import encode, png
from tests.running import RunningService, running, running_process

COLOR = (7, 1, 0)


@pytest.fixture(scope="module")
def looking() -> Iterator[RunningService]:
    """``vgg16`` has a dense form, ``plain`` has none; the queue is short enough to be filled by one request."""
    network = DummyNetwork()
    models = dummy_model(network), dummy_model(network, "plain", dense=False)
    with running(*models, max_views=60, max_queue_size=64, max_queue_delay_s=600) as started:
        yield started


def halves(size: tuple[int, int] = (512, 256)) -> bytes:
    """The left half of one colour, the right half of another."""
    picture = Image.new("RGB", size, COLOR)
    picture.paste((9, 2, 0), (size[0] // 2, 0, *size))
    return encode(picture, "PNG")


@pytest.mark.parametrize(
    ("query", "views"),
    [
        ({}, 1),
        ({"evaluation": "single"}, 1),
        ({"evaluation": "single", "scales": "256,384"}, 2),
        ({"evaluation": "multi_crop"}, 10),
        ({"evaluation": "multi_crop", "crops": "5x5"}, 50),
        ({"evaluation": "dense", "scales": "256,384,512"}, 6),
        ({"evaluation": "dense_multi_crop"}, 12),
    ],
)
def test_the_answer_says_what_was_done(looking: RunningService, query: dict[str, str], views: int) -> None:
    answer = looking.predict(png(COLOR), **query).raise_for_status().json()
    assert answer["evaluation"] == query.get("evaluation", "single")
    assert answer["views"] == views
    assert answer["predictions"][0]["class_index"] == expected_class(COLOR)
    assert "heatmap" not in answer
    assert all("heatmap" not in one for one in answer["predictions"])


def test_a_heatmap_has_a_value_for_each_place_and_each_answered_class(looking: RunningService) -> None:
    answer = looking.predict(halves(), heatmap="true", top_k=2, scales="256").raise_for_status().json()
    assert answer["heatmap"] == {
        "rows": 4,
        "columns": 8,
        "box": {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0},
    }
    first = next(one for one in answer["predictions"] if one["class_index"] == expected_class(COLOR))
    values = np.array(first["heatmap"])
    assert values.shape == (4, 8)
    assert (values[:, :4] > 9).all()
    assert (values[:, 4:] < 0).all()
    assert (answer["evaluation"], answer["views"]) == ("single", 1)


@pytest.mark.parametrize(("margin", "done", "views"), [(0.8, "single", 1), (0.1, "multi_crop", 10)])
def test_auto_looks_again_where_it_is_close(margin: float, done: str, views: int) -> None:
    class Unsure(DummyNetwork):
        def top_k(self, pixels, k):  # type: ignore[no-untyped-def]
            indices, probabilities = super().top_k(pixels, k)
            if k > 1:
                probabilities[:, :2] = 0.5 + margin / 2, 0.5 - margin / 2
            return indices, probabilities

    with running(dummy_model(Unsure())) as service:
        service.predict(png(COLOR)).raise_for_status()  # how fast it is, it has to know first
        answer = service.predict(png(COLOR), evaluation="auto").raise_for_status().json()
        assert (answer["evaluation"], answer["views"]) == (done, views)
        both = service.predict(png(COLOR), evaluation="auto", heatmap="true").raise_for_status().json()
        assert (both["evaluation"], both["views"]) == (done, views)
        assert both["heatmap"]["rows"] == 8


def test_auto_does_not_begin_what_would_come_too_late() -> None:
    class Slow(DummyNetwork):
        def top_k(self, pixels, k):  # type: ignore[no-untyped-def]
            indices, probabilities = super().top_k(pixels, k)
            probabilities[:] = 1 / k
            return indices, probabilities

    with running(dummy_model(Slow(0.2), max_batch_size=1)) as service:
        service.predict(png(COLOR)).raise_for_status()
        response = service.client.post(
            "/predict?evaluation=auto", files={"file": png(COLOR)}, headers={"X-Request-Timeout-Ms": "1500"}
        )
        assert response.raise_for_status().json()["evaluation"] == "single"


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"evaluation": "denser"}, "invalid_parameter", "evaluation must be one of single, multi_crop, dense,"),
        ({"evaluation": "multi_crop", "crops": "3x3"}, "invalid_parameter", "crops must be one of 10, 5x5"),
        ({"crops": "5x5"}, "invalid_parameter", "crops belongs to multi_crop"),
        ({"evaluation": "auto", "scales": "256"}, "invalid_parameter", "does not go with auto"),
        ({"evaluation": "dense", "scales": "256,,384"}, "invalid_parameter", "from 224 to 1024"),
        ({"evaluation": "dense", "scales": "200"}, "invalid_parameter", "from 224 to 1024"),
        ({"evaluation": "dense", "scales": "²56"}, "invalid_parameter", "from 224 to 1024"),
        ({"evaluation": "dense", "scales": "256,256"}, "invalid_parameter", "different ones"),
        ({"heatmap": "maybe"}, "invalid_parameter", "heatmap must be one of true, false"),
        ({"heatmap": "true", "top_k": 21}, "invalid_parameter", "top_k may be at most 20"),
        ({"evaluation": "dense", "model": "plain"}, "invalid_parameter", "plain has no dense form"),
        ({"heatmap": "true", "model": "plain"}, "invalid_parameter", "has no heatmap"),
        ({"evaluation": "multi_crop", "crops": "5x5", "scales": "256,384"}, "evaluation_too_large", "100 views"),
    ],
)
def test_what_cannot_be_done_is_said(
    looking: RunningService, query: dict[str, str | int], code: str, words: str
) -> None:
    problem = check_problem(looking.predict(png(COLOR), **query), 422, code)
    assert words in str(problem["detail"])


def test_every_model_can_be_shown_crops(looking: RunningService) -> None:
    answer = looking.predict(png(COLOR), evaluation="multi_crop", model="plain").raise_for_status().json()
    assert answer["views"] == 10


def test_what_a_model_can_do_is_listed(looking: RunningService) -> None:
    models = {model["name"]: model for model in looking.client.get("/models").json()["models"]}
    assert models["vgg16"]["evaluations"] == ["single", "multi_crop", "dense", "dense_multi_crop"]
    assert models["plain"]["evaluations"] == ["single", "multi_crop"]
    assert [models[name]["heatmap"] for name in ("vgg16", "plain")] == [True, False]


def test_a_photograph_that_is_too_long_to_be_seen_whole_is_one_files_problem(looking: RunningService) -> None:
    files = [("file", ("a", png(COLOR))), ("file", ("b", halves((30_000, 300))))]
    answer = looking.client.post("/predict/batch?evaluation=dense", files=files).raise_for_status().json()
    good, problem = answer["results"]
    assert (good["evaluation"], good["views"]) == ("dense", 2)
    assert (problem["status"], problem["code"]) == (422, "evaluation_too_large")


def test_each_file_counts_its_views(looking: RunningService) -> None:
    def ask(count: int) -> httpx.Response:
        files = [("file", (str(number), png(COLOR))) for number in range(count)]
        return looking.client.post("/predict/batch?evaluation=multi_crop", files=files)

    assert [one["views"] for one in ask(6).raise_for_status().json()["results"]] == [10] * 6
    check_problem(ask(7), 422, "evaluation_too_large")


def test_the_pixels_of_all_views_are_bounded() -> None:
    with running(dummy_model(DummyNetwork()), max_evaluation_pixels=400_000) as service:
        check_problem(service.predict(png(COLOR), evaluation="multi_crop"), 422, "evaluation_too_large")
        assert service.predict(halves(), evaluation="dense").is_success
        check_problem(service.predict(halves((1024, 256)), evaluation="dense"), 422, "evaluation_too_large")


def test_nothing_is_left_of_an_evaluation(looking: RunningService) -> None:
    looking.predict(png(COLOR), evaluation="dense_multi_crop").raise_for_status()
    assert looking.metric("queue_depth") == 0
    assert looking.metric("upload_buffer_bytes") == 0


def test_one_view_that_breaks_the_network_fails_its_request(looking: RunningService) -> None:
    check_problem(looking.predict(png((1, 0, 255)), evaluation="multi_crop"), 500, "internal")


@pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")
def test_it_is_the_same_through_several_processes() -> None:
    with running_process({"VGG_FRONTS": "2"}, module="tests.dummy_service") as (url, _), _client(url) as client:
        query = "evaluation=dense_multi_crop&scales=256,384&heatmap=true&top_k=2"
        answer = client.post(f"/predict?{query}", files={"file": halves()}).raise_for_status().json()
        assert (answer["evaluation"], answer["views"]) == ("dense_multi_crop", 24)
        assert np.shape([one["heatmap"] for one in answer["predictions"]]) == (2, 6, 12)
        again = client.post("/predict?evaluation=auto", files={"file": png(COLOR)}).raise_for_status().json()
        assert again["predictions"][0]["class_index"] == expected_class(COLOR)
        check_problem(client.post("/predict?evaluation=dense&scales=1024", files={"file": halves()}), 422,
                      "evaluation_too_large")  # fmt: skip


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=60)


def test_the_defaults_let_the_papers_evaluation_through() -> None:
    settings = Settings()
    assert settings.max_views >= 150 + 6
    assert settings.max_evaluation_pixels >= 150 * 224**2 + 2 * (256**2 + 384**2 + 512**2) * 4 / 3
