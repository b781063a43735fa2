import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from app.http.schemas import BatchResponse, PredictionResponse
from app.model.registry import LoadedModel
from tests.dummy import POISON_BLUE, DummyNetwork, dummy_model, expected_class
from tests.pictures import encode, photograph, plain, png
from tests.running import RunningService, running

RED = png((200, 10, 10))


def test_a_prediction_has_the_contracts_form(service: RunningService) -> None:
    response = service.predict(encode(plain((207, 0, 0), (640, 480))))
    assert response.status_code == 200
    answer = response.json()
    assert answer["request_id"] == response.headers["x-request-id"]
    assert answer["model"] == {
        "name": "vgg16",
        "version": "IMAGENET1K_V1",
        "architecture": "vgg16",
        "fallback": False,
    }
    assert answer["image"] == {"width": 640, "height": 480, "format": "PNG"}
    assert [candidate["rank"] for candidate in answer["predictions"]] == [1, 2, 3, 4, 5]
    first = answer["predictions"][0]
    assert (first["class_index"], first["wnid"], first["label_en"]) == (207, "n02099601", "golden retriever")
    assert first["label_zh"] == "金毛寻回犬"
    assert first["probability"] == pytest.approx(0.9)
    assert answer["batch_size"] == 1
    assert answer["timing_ms"].keys() == {"decode", "preprocess", "queue", "inference", "total"}
    stages = [answer["timing_ms"][stage] for stage in ("decode", "preprocess", "queue", "inference")]
    assert 0 < sum(stages) <= answer["timing_ms"]["total"]


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "application/octet-stream", "image/x-whatever"])
def test_raw_bodies_of_any_declared_image_type(service: RunningService, content_type: str) -> None:
    response = service.client.post("/predict", content=RED, headers={"content-type": content_type})
    assert response.json()["image"]["format"] == "PNG"
    assert response.json()["predictions"][0]["class_index"] == expected_class((200, 10, 10))


def test_other_fields_may_come_along(service: RunningService) -> None:
    response = service.client.post("/predict", files={"file": RED}, data={"comment": "my cat", "album": "7"})
    assert response.status_code == 200


def test_top_k(service: RunningService) -> None:
    assert len(service.predict(RED, top_k=1).json()["predictions"]) == 1
    assert len(service.predict(RED, top_k=1000).json()["predictions"]) == 1000


def test_few_classes_shorten_the_default_answer() -> None:
    labels = dummy_model(DummyNetwork()).labels[:2]
    model = dummy_model(DummyNetwork(classes=2), "catdog", labels=labels)
    with running(model) as service:
        assert len(service.predict(png((0, 0, 0))).json()["predictions"]) == 2
        assert service.predict(png((0, 0, 0)), top_k=3).status_code == 422


def colors(count: int) -> list[tuple[int, int, int]]:
    chosen = [(6 * number, number % 3, 0) for number in range(count)]
    assert len({expected_class(color) for color in chosen}) == count
    return chosen


def answers_at_once(service: RunningService, count: int) -> tuple[list[int], list[int]]:
    """The top class of each of ``count`` different pictures sent at once, and the sizes of their batches."""
    pictures = [png(color) for color in colors(count)]
    with ThreadPoolExecutor(count) as pool:
        responses = list(pool.map(service.predict, pictures))
    assert [response.status_code for response in responses] == [200] * count
    bodies = [response.json() for response in responses]
    return [body["predictions"][0]["class_index"] for body in bodies], [body["batch_size"] for body in bodies]


def test_forty_at_once_each_get_their_own_answer() -> None:
    with running(dummy_model(DummyNetwork(0.02)), max_queue_delay_s=60) as service:
        classes, sizes = answers_at_once(service, 40)
    assert classes == [expected_class(color) for color in colors(40)]
    assert max(sizes) > 1


def test_the_test_above_notices_mixed_up_answers() -> None:
    with running(dummy_model(DummyNetwork(0.02, shuffle=True)), max_queue_delay_s=60) as service:
        classes, _ = answers_at_once(service, 40)
    assert classes != [expected_class(color) for color in colors(40)]


def test_two_models_at_once_do_not_mix() -> None:
    first, second = DummyNetwork(0.01), DummyNetwork(0.01)
    with running(dummy_model(first, "one"), dummy_model(second, "two"), max_queue_delay_s=60) as service:
        with ThreadPoolExecutor(20) as pool:
            names = ["one", "two"] * 10
            responses = list(pool.map(lambda name: service.predict(RED, model=name), names))
        assert [response.json()["model"]["name"] for response in responses] == names
        assert sum(first.batches) == sum(second.batches) == 10
        assert service.client.get("/models").json()["default"] == "one"


def test_models_tell_their_digest_classes_and_preprocessing(service: RunningService) -> None:
    listed = service.client.get("/models").json()
    assert listed["default"] == "vgg16"
    assert listed["unavailable"] == []
    (model,) = listed["models"]
    assert model["classes"] == 1000
    assert model["weights"]["sha256"] == "0" * 64
    assert model["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert model["base"] is None
    assert "labels" not in model
    detail = service.client.get("/models/vgg16").json()
    assert detail["labels"][207]["label_zh"] == "金毛寻回犬"
    assert len(detail["labels"]) == 1000


def test_models_that_cannot_be_served_are_listed_with_a_reason(service: RunningService) -> None:
    unavailable = service.service.pipeline.registry.unavailable
    unavailable.update({"b": "It is not prepared.", "a": "It has no manifest."})
    listed = service.client.get("/models").json()
    assert listed["unavailable"] == [
        {"name": "a", "reason": "It has no manifest."},
        {"name": "b", "reason": "It is not prepared."},
    ]
    assert service.client.get("/models/a").status_code == 404


def test_a_model_is_replaced_while_the_service_runs() -> None:
    old, new = DummyNetwork(), DummyNetwork()
    models = iter([dummy_model(old), dummy_model(new)])
    key = {"x-api-key": "secret"}

    def load(name: str) -> LoadedModel:
        return next(models)

    with running(dummy_model(old), load=load, admin_keys="secret") as service:
        service.client.post("/predict", files={"file": RED}, headers=key)
        assert service.client.post("/models/vgg16/load", headers=key).status_code == 200
        service.client.post("/predict", files={"file": RED}, headers=key)
        assert (len(old.batches), len(new.batches)) == (1, 1)


def test_a_model_that_cannot_be_loaded_changes_nothing(network: DummyNetwork) -> None:
    from app.errors import UnknownModel, WeightsInvalid

    model, key = dummy_model(network), {"x-api-key": "secret"}
    outcomes = iter([None, WeightsInvalid("damaged: /secret/path"), UnknownModel("none")])

    def load(name: str) -> LoadedModel:
        if outcome := next(outcomes):
            raise outcome
        return model

    with running(model, load=load, admin_keys="secret") as service:
        broken = service.client.post("/models/vgg16/load", headers=key)
        assert (broken.status_code, broken.json()["code"]) == (503, "not_ready")
        assert "secret" not in broken.text
        unknown = service.client.post("/models/other/load", headers=key)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")
        assert service.client.post("/predict", files={"file": RED}, headers=key).status_code == 200


def test_request_ids_and_timing_are_on_every_response(service: RunningService) -> None:
    for path in ("/livez", "/nothing", "/models"):
        response = service.client.get(path)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
        assert "total;dur=" in response.headers["server-timing"]
    timing = service.predict(RED).headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "decode",
        "preprocess",
        "queue",
        "inference",
        "total",
    ]
    given = service.client.get("/livez", headers={"x-request-id": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    forged = service.client.get("/livez", headers={"x-request-id": "a b<script>"})
    assert forged.headers["x-request-id"] != "a b<script>"


def test_metrics_count_what_happened(service: RunningService) -> None:
    service.predict(RED)
    service.predict(b"nothing")
    text = service.client.get("/metrics").text
    assert 'requests_total{code="ok",route="/predict"} 1.0' in text
    assert 'requests_total{code="unsupported_media_type",route="/predict"} 1.0' in text
    assert 'batch_release_total{reason="idle"} 1.0' in text
    for name in ("decode", "preprocess", "queue", "inference"):
        assert f"{name}_duration_seconds_count 1.0" in text
    assert "batch_size_sum 1.0" in text
    assert "queue_depth 0.0" in text
    assert "ready 1.0" in text


def test_web_pages_of_allowed_origins_may_call() -> None:
    with running(dummy_model(DummyNetwork()), cors_origins="https://shop.example") as service:
        allowed = service.client.get("/models", headers={"origin": "https://shop.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert "X-Request-ID" in allowed.headers["access-control-expose-headers"]
        other = service.client.get("/models", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


# Several files in one request


def post_batch(service: RunningService, *files: bytes, **params: int) -> httpx.Response:
    parts = [("file", (f"{number}.png", data)) for number, data in enumerate(files)]
    return service.client.post("/predict/batch", files=parts, params=params)


def test_a_batch_gets_one_result_or_one_problem_per_file_in_order(service: RunningService) -> None:
    truncated = encode(photograph(), "JPEG")[:2000]
    poison = png((5, 5, POISON_BLUE))
    response = post_batch(
        service, png((9, 0, 0)), b"text", png((8, 1, 0)), truncated, b"", poison, png((7, 2, 0)), top_k=2
    )
    assert response.status_code == 200
    body = response.json()
    assert body["model"]["name"] == "vgg16"
    assert [result.get("code", result["status"]) for result in body["results"]] == [
        200, "unsupported_media_type", 200, "undecodable_image", "missing_file", "internal", 200,
    ]  # fmt: skip
    good = [result for result in body["results"] if result["status"] == 200]
    assert [result["predictions"][0]["class_index"] for result in good] == [9, 8 + 256, 7 + 512]
    assert all(len(result["predictions"]) == 2 for result in good)
    TypeAdapter(BatchResponse).validate_python(body, strict=True, extra="forbid")


def test_a_batch_is_timed_from_its_headers_and_tells_its_stages(service: RunningService) -> None:
    boundary = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    pause_s = 0.3

    def slowly() -> Iterator[bytes]:
        yield boundary + RED
        time.sleep(pause_s)  # what is measured is this very time
        yield b"\r\n" + boundary + b"no image\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = service.client.post("/predict/batch", content=slowly(), headers=headers)
    good, bad = response.json()["results"]
    assert (good["status"], bad["code"]) == (200, "unsupported_media_type")
    assert good["timing_ms"]["total"] >= 1000 * pause_s
    timing = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    assert list(timing) == ["decode", "preprocess", "queue", "inference", "total"]
    assert float(timing["total"]) >= good["timing_ms"]["total"]
    assert float(timing["decode"]) == good["timing_ms"]["decode"]


def test_a_batch_has_limits() -> None:
    with running(dummy_model(DummyNetwork()), max_files=3, max_queue_size=2, max_upload_mb=0.01) as service:
        assert post_batch(service, *[RED] * 4).json()["code"] == "malformed_request"
        assert post_batch(service, *[RED] * 3).json()["code"] == "queue_full"  # every image counts
        assert post_batch(service, *[RED] * 2).status_code == 200
        assert post_batch(service, bytes(20_000), RED).json()["results"][0]["code"] == "payload_too_large"
        assert post_batch(service, bytes(200_000)).json()["code"] == "payload_too_large"
        assert service.service.admission.in_flight == 0


# The real network


def pictures() -> list[bytes]:
    """Forty different real pictures: parts of photographs, some mirrored."""
    cut = []
    for name in ("chelsea", "coffee", "rocket", "astronaut"):
        image = photograph(name)
        for step in range(10):
            part = image.crop((step * 12, step * 8, image.width - 90 + step * 3, image.height - 60 + step * 2))
            cut.append(encode(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if step % 2 else part, "JPEG"))
    return cut


def probabilities(response: httpx.Response) -> list[tuple[int, float]]:
    answer = TypeAdapter(PredictionResponse).validate_json(response.content)
    return [(candidate["class_index"], candidate["probability"]) for candidate in answer["predictions"]]


def test_a_cat_is_a_cat_and_coffee_is_coffee(real_service: str) -> None:
    expected = {
        "chelsea": {("tabby cat", "虎斑猫"), ("tiger cat", "条纹猫"), ("Egyptian cat", "埃及猫")},
        "coffee": {("espresso", "浓缩咖啡"), ("teacup", "茶杯")},
    }
    for name, labels in expected.items():
        response = httpx.post(f"{real_service}/predict", files={"file": encode(photograph(name), "JPEG")})
        first = response.json()["predictions"][0]
        assert (first["label_en"], first["label_zh"]) in labels


def test_forty_real_pictures_at_once_get_the_answers_they_get_alone(real_service: str) -> None:
    with httpx.Client(base_url=real_service, timeout=60) as client:

        def post(data: bytes) -> httpx.Response:
            return client.post("/predict", content=data, headers={"content-type": "image/jpeg"})

        alone = [probabilities(post(data)) for data in pictures()]
        assert len({tuple(answer) for answer in alone}) == 40
        with ThreadPoolExecutor(40) as pool:
            responses = list(pool.map(post, pictures()))
        together = [probabilities(response) for response in responses]
        assert max(response.json()["batch_size"] for response in responses) > 1
        for one, other in zip(alone, together, strict=True):
            assert [index for index, _ in one] == [index for index, _ in other]
            assert np.allclose([p for _, p in one], [p for _, p in other], atol=1e-3)
