"""What is answered."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.contract import Deployment, check_problem
from tests.pictures import encode, photograph, plain
from tests.system.fuzzing.seeds import seeds

STAGES = ("decode", "preprocess", "queue", "inference")
PNG = encode(plain((200, 10, 10)))
CAT = encode(photograph("chelsea"), "JPEG")
REFUSED_SEED = "TIFF-LAB"


def answer(deployment: Deployment, data: bytes, **params: str | int) -> dict[str, Any]:
    response = deployment.predict(data, **params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


# What comes back


def test_a_prediction(deployment: Deployment) -> None:
    response = deployment.predict(CAT)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found, model = response.json(), deployment.default_model()
    wanted = {"request_id", "model", "predictions", "image", "batch_size", "evaluation", "views", "timing_ms"}
    assert found.keys() == wanted
    assert (found["evaluation"], found["views"]) == ("single", 1)
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["model"] == {key: model[key] for key in ("name", "version", "architecture", "fallback")}
    assert found["image"] == {"width": 451, "height": 300, "format": "JPEG"}
    assert found["batch_size"] >= 1


def test_predictions_are_ranked_and_labelled_as_the_model_says(deployment: Deployment) -> None:
    model = deployment.default_model()
    labels = deployment.client.get(f"/models/{model['name']}").json()["labels"]
    predictions = answer(deployment, CAT)["predictions"]
    assert [one["rank"] for one in predictions] == list(range(1, min(5, model["classes"]) + 1))
    probabilities = [one["probability"] for one in predictions]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1.0001
    assert len({one["class_index"] for one in predictions}) == len(predictions)
    for one in predictions:
        label = labels[one["class_index"]]
        assert {key: one[key] for key in ("wnid", "label_en", "label_zh")}.items() <= label.items()
        assert label["label_en"]
        assert label["label_zh"]
        assert label["wnid"] is None or re.fullmatch("n[0-9]{8}", label["wnid"])


def test_an_answer_tells_its_times(deployment: Deployment) -> None:
    response = deployment.predict(CAT)
    timing = response.json()["timing_ms"]
    assert timing.keys() == {*STAGES, "total"}
    assert all(timing[stage] >= 0 for stage in STAGES)
    assert timing["decode"] > 0
    assert sum(timing[stage] for stage in STAGES) <= timing["total"]
    parts = [part.split(";dur=") for part in response.headers["server-timing"].split(", ")]
    assert [name for name, _ in parts] == [*STAGES, "total"]
    assert all(float(value) >= 0 for _, value in parts)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_format_is_known_by_its_content(deployment: Deployment, image_format: str) -> None:
    images = {name: data for name, data in seeds().items() if name.startswith(image_format) and name != REFUSED_SEED}
    assert images
    for name, data in images.items():
        response = deployment.client.post("/predict", content=data, headers={"content-type": "image/x-whatever"})
        assert response.status_code == 200, f"{name}: {response.text}"
        assert response.json()["image"]["format"] == image_format, name


def test_width_and_height_are_those_of_the_upright_picture(deployment: Deployment) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encode(plain((1, 2, 3), (300, 200)), "JPEG", exif=exif)
    assert answer(deployment, lying)["image"] == {"width": 200, "height": 300, "format": "JPEG"}


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "application/octet-stream"])
def test_raw_bytes_get_the_answer_that_a_form_gets(deployment: Deployment, content_type: str) -> None:
    raw = deployment.client.post("/predict", content=CAT, headers={"content-type": content_type}).json()
    form = answer(deployment, CAT)
    assert raw["image"] == form["image"]
    assert raw["predictions"][0]["class_index"] == form["predictions"][0]["class_index"]


def test_other_fields_may_come_along(deployment: Deployment) -> None:
    response = deployment.client.post("/predict", files={"file": CAT}, data={"comment": "my cat", "album": "7"})
    assert response.status_code == 200


def test_top_k(deployment: Deployment) -> None:
    classes = deployment.default_model()["classes"]
    assert len(answer(deployment, PNG, top_k=1)["predictions"]) == 1
    every = answer(deployment, PNG, top_k=classes)["predictions"]
    assert sorted(one["class_index"] for one in every) == list(range(classes))
    check_problem(deployment.predict(PNG, top_k=classes + 1), 422, "invalid_parameter")


def test_different_pictures_at_once_each_get_their_own_answer(deployment: Deployment) -> None:
    cat = photograph("chelsea")
    pictures = [encode(cat.crop((20 * step, 10 * step, 200 + 20 * step, 200 + 10 * step))) for step in range(8)]
    alone = [answer(deployment, picture)["predictions"] for picture in pictures]
    assert len({str(predictions) for predictions in alone}) > 1
    with ThreadPoolExecutor(8) as pool:
        together = [found["predictions"] for found in pool.map(lambda picture: answer(deployment, picture), pictures)]
    for one, other in zip(alone, together, strict=True):
        assert one[0]["class_index"] == other[0]["class_index"]
        assert one[0]["probability"] == pytest.approx(other[0]["probability"], abs=0.01)


# Looking more than once


def test_crops_are_averaged_by_every_model(deployment: Deployment) -> None:
    assert {"single", "multi_crop"} <= {*deployment.default_model()["evaluations"]}
    found = answer(deployment, CAT, evaluation="multi_crop")
    assert (found["evaluation"], found["views"]) == ("multi_crop", 10)
    assert 0 < sum(one["probability"] for one in found["predictions"]) <= 1.0001


def test_a_whole_photograph_is_seen_by_those_that_can(deployment: Deployment) -> None:
    response = deployment.predict(CAT, evaluation="dense")
    if "dense" in deployment.default_model()["evaluations"]:
        assert response.json()["views"] == 2
    else:
        check_problem(response, 422, "invalid_parameter")


def test_a_heatmap_lies_on_the_photograph(deployment: Deployment) -> None:
    response = deployment.predict(CAT, heatmap="true", top_k=2)
    if not deployment.default_model()["heatmap"]:
        check_problem(response, 422, "invalid_parameter")
        return
    found = response.json()
    grid = found["heatmap"]
    box = grid["box"]
    assert 0 <= box["left"] < box["right"] <= 1
    assert 0 <= box["top"] < box["bottom"] <= 1
    for one in found["predictions"]:
        assert len(one["heatmap"]) == grid["rows"]
        assert {len(row) for row in one["heatmap"]} == {grid["columns"]}


# Several files in one request


def test_a_batch_gets_one_result_or_one_problem_per_file_in_order(deployment: Deployment) -> None:
    response = deployment.predict_batch(CAT, b"text", CAT[:2000], b"", PNG)
    assert response.status_code == 200
    results = response.json()["results"]
    codes = [result.get("code", result["status"]) for result in results]
    assert codes == [200, "unsupported_media_type", "undecodable_image", "missing_file", 200]
    for result, picture in ((results[0], CAT), (results[4], PNG)):
        alone = answer(deployment, picture)
        assert result["image"] == alone["image"]
        assert result["predictions"][0]["class_index"] == alone["predictions"][0]["class_index"]


# Around it


def test_probes_and_documentation_need_no_key(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url, timeout=60) as stranger:
        assert stranger.get("/livez").json() == {"status": "live"}
        model = deployment.default_model()
        ready = {"status": "ready", "model": model["name"], "fallback": model["fallback"]}
        assert stranger.get("/readyz").json() == ready
        assert stranger.get("/docs").status_code == 200
        paths = stranger.get("/openapi.json").json()["paths"]
        assert {"/predict", "/predict/batch", "/models", "/models/{name}", "/livez", "/readyz"} <= paths.keys()


def test_a_request_id_comes_back_if_it_is_one(deployment: Deployment) -> None:
    for path in ("/livez", "/nothing", "/models"):
        response = deployment.client.get(path)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
        assert "total;dur=" in response.headers["server-timing"]
    given = deployment.client.get("/livez", headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    forged = deployment.client.get("/livez", headers={"x-request-id": "a b<script>"})
    assert forged.headers["x-request-id"] != "a b<script>"


def test_models_are_listed_and_described(deployment: Deployment) -> None:
    for listed in deployment.client.get("/models").json()["models"]:
        detail = deployment.client.get(f"/models/{listed['name']}").json()
        assert len(detail.pop("labels")) == listed["classes"]
        assert detail == listed
        assert re.fullmatch("[0-9a-f]{64}", listed["weights"]["sha256"])


def test_a_class_is_found_by_each_of_its_names(deployment: Deployment) -> None:
    name = deployment.default_model()["name"]
    label = deployment.client.get(f"/models/{name}").json()["labels"][-1]
    for query in (label["label_en"], label["label_zh"].upper(), *label["synonyms_en"], *label["synonyms_zh"]):
        found = deployment.client.get("/labels", params={"q": query, "limit": 1000}).raise_for_status().json()
        assert label["class_index"] in [one["class_index"] for one in found["labels"]], query
        assert found["total"] == len(found["labels"])
    check_problem(deployment.client.get("/labels"), 422, "invalid_parameter")
