"""The HTTP contract, held by any deployment: all that these tests need is a URL.

    scripts/check-contract https://vgg.example

Without one they hold two services that they start themselves. Nothing here may know which networks are served, how the
service is set up, or what it is made of.
"""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.contract import Deployment, check_problem, post_unfinished
from tests.pictures import encode, huge_png, photograph, plain
from tests.system.fuzzing.seeds import seeds

STAGES = ("decode", "preprocess", "queue", "inference")
PNG = encode(plain((200, 10, 10)))
CAT = encode(photograph("chelsea"), "JPEG")
FORM = "multipart/form-data; boundary=b"
REFUSED_SEED = "TIFF-LAB"


def post(deployment: Deployment, data: bytes, **params: str | int) -> httpx.Response:
    return deployment.client.post("/predict", files={"file": ("picture", data)}, params=params)


def answer(deployment: Deployment, data: bytes, **params: str | int) -> dict[str, Any]:
    response = post(deployment, data, **params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def default_model(deployment: Deployment) -> dict[str, Any]:
    listed = deployment.client.get("/models").raise_for_status().json()
    (model,) = (model for model in listed["models"] if model["name"] == listed["default"])
    assert isinstance(model, dict)
    return model


# What comes back


def test_a_prediction(deployment: Deployment) -> None:
    response = post(deployment, CAT)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    found, model = response.json(), default_model(deployment)
    assert found.keys() == {"request_id", "model", "predictions", "image", "batch_size", "timing_ms"}
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["model"] == {key: model[key] for key in ("name", "version", "architecture", "fallback")}
    assert found["image"] == {"width": 451, "height": 300, "format": "JPEG"}
    assert found["batch_size"] >= 1


def test_predictions_are_ranked_and_labelled_as_the_model_says(deployment: Deployment) -> None:
    model = default_model(deployment)
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
    response = post(deployment, CAT)
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
    classes = default_model(deployment)["classes"]
    assert len(answer(deployment, PNG, top_k=1)["predictions"]) == 1
    every = answer(deployment, PNG, top_k=classes)["predictions"]
    assert sorted(one["class_index"] for one in every) == list(range(classes))
    check_problem(post(deployment, PNG, top_k=classes + 1), 422, "invalid_parameter")


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


# Several files in one request


def post_batch(deployment: Deployment, *files: bytes) -> httpx.Response:
    parts = [("file", (f"{number}.png", data)) for number, data in enumerate(files)]
    return deployment.client.post("/predict/batch", files=parts)


def test_a_batch_gets_one_result_or_one_problem_per_file_in_order(deployment: Deployment) -> None:
    response = post_batch(deployment, CAT, b"text", CAT[:2000], b"", PNG)
    assert response.status_code == 200
    results = response.json()["results"]
    codes = [result.get("code", result["status"]) for result in results]
    assert codes == [200, "unsupported_media_type", "undecodable_image", "missing_file", 200]
    for result, picture in ((results[0], CAT), (results[4], PNG)):
        alone = answer(deployment, picture)
        assert result["image"] == alone["image"]
        assert result["predictions"][0]["class_index"] == alone["predictions"][0]["class_index"]


def test_a_batch_of_more_files_than_documented_is_refused(deployment: Deployment) -> None:
    operation = deployment.client.get("/openapi.json").json()["paths"]["/predict/batch"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    most = form["properties"]["file"]["maxItems"]
    check_problem(post_batch(deployment, *[PNG] * (most + 1)), 400, "malformed_request")


# What was sent


def test_missing_file(deployment: Deployment) -> None:
    client = deployment.client
    check_problem(client.post("/predict", files={"other": ("x.png", PNG)}), 400, "missing_file")
    check_problem(client.post("/predict", files={"file": ("x.png", b"")}), 400, "missing_file")
    check_problem(client.post("/predict", headers={"content-type": "image/png"}), 400, "missing_file")
    text = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nnot a file\r\n--b--\r\n'
    check_problem(client.post("/predict", content=text, headers={"content-type": FORM}), 400, "missing_file")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"anything"),
        (FORM, b"no boundary in here"),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx'),
        (FORM, b""),
    ],
)
def test_malformed_request(deployment: Deployment, content_type: str, body: bytes) -> None:
    response = deployment.client.post("/predict", content=body, headers={"content-type": content_type})
    check_problem(response, 400, "malformed_request")


def test_unsupported_media_type(deployment: Deployment) -> None:
    check_problem(post(deployment, b"%PDF-1.7 not an image"), 415, "unsupported_media_type")
    lie = deployment.client.post("/predict", content=b"text", headers={"content-type": "image/png"})
    check_problem(lie, 415, "unsupported_media_type")
    json = deployment.client.post("/predict", json={"image": "…"})
    assert "multipart/form-data" in str(check_problem(json, 415, "unsupported_media_type")["detail"])
    check_problem(deployment.client.post("/predict"), 415, "unsupported_media_type")


def test_undecodable_image(deployment: Deployment) -> None:
    check_problem(post(deployment, CAT[: len(CAT) // 2]), 422, "undecodable_image")
    check_problem(post(deployment, PNG[:40]), 422, "undecodable_image")


def test_too_many_pixels(deployment: Deployment) -> None:
    check_problem(post(deployment, huge_png(100_000, 100_000)), 413, "too_many_pixels")


def test_payload_too_large_is_said_before_a_terabyte_is_sent(deployment: Deployment) -> None:
    headers = {"Content-Type": "image/png", "Content-Length": str(10**12)} | key_headers(deployment)
    response = post_unfinished(f"{deployment.url}/predict", headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "payload_too_large"  # a proxy may have said it, which knows no request id


@pytest.mark.parametrize("top_k", [0, -1, 1_000_000, "five", 2**70])
def test_invalid_parameter(deployment: Deployment, top_k: int | str) -> None:
    problem = check_problem(post(deployment, PNG, top_k=top_k), 422, "invalid_parameter")
    assert "top_k" in str(problem["detail"])


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1e3", "²", "9" * 40, "1" * 5000])
def test_an_invalid_deadline(deployment: Deployment, value: str) -> None:
    headers = {b"X-Request-Timeout-Ms": value.encode()}
    response = deployment.client.post("/predict", files={"file": PNG}, headers=headers)
    check_problem(response, 422, "invalid_parameter")


def test_deadline_exceeded(deployment: Deployment) -> None:
    large = io.BytesIO()
    photograph("coffee").resize((3000, 2000)).save(large, "PNG", compress_level=1)  # more than a millisecond's work
    headers = {"content-type": "image/png", "x-request-timeout-ms": "1"}
    response = deployment.client.post("/predict", content=large.getvalue(), headers=headers)
    check_problem(response, 504, "deadline_exceeded")


def test_model_not_found(deployment: Deployment) -> None:
    check_problem(post(deployment, PNG, model="no-such-model"), 404, "model_not_found")
    check_problem(deployment.client.get("/models/no-such-model"), 404, "model_not_found")


def test_not_found_and_method_not_allowed(deployment: Deployment) -> None:
    check_problem(deployment.client.get("/nothing"), 404, "not_found")
    response = deployment.client.get("/predict")
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


# Who may call


def key_headers(deployment: Deployment) -> dict[str, str]:
    return {"X-API-Key": deployment.key} if deployment.key else {}


def test_strangers_are_refused_where_there_are_keys_and_manage_nothing_anywhere(deployment: Deployment) -> None:
    stranger = httpx.Client(base_url=deployment.url, timeout=60)
    name = default_model(deployment)["name"]
    with stranger:
        managed = stranger.post(f"/models/{name}/load")
        asked = [stranger.get("/models"), stranger.post("/predict", files={"file": PNG})]
        asked += [stranger.get("/models", headers=wrong) for wrong in (
            {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic d3Jvbmc6a2V5"},
        )]  # fmt: skip
    if deployment.key is None:
        check_problem(managed, 403, "forbidden")
        assert {response.status_code for response in asked} == {200}
        return
    for response in [managed, *asked]:
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
    bearer = {"authorization": f"Bearer {deployment.key}"}
    assert httpx.get(f"{deployment.url}/models", headers=bearer, timeout=60).status_code == 200


def test_probes_and_documentation_need_no_key(deployment: Deployment) -> None:
    with httpx.Client(base_url=deployment.url, timeout=60) as stranger:
        assert stranger.get("/livez").json() == {"status": "live"}
        model = default_model(deployment)
        ready = {"status": "ready", "model": model["name"], "fallback": model["fallback"]}
        assert stranger.get("/readyz").json() == ready
        assert stranger.get("/docs").status_code == 200
        paths = stranger.get("/openapi.json").json()["paths"]
        assert {"/predict", "/predict/batch", "/models", "/models/{name}", "/livez", "/readyz"} <= paths.keys()


# On every response


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
