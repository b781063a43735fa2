"""What is refused, and how."""

import io

import httpx
import pytest

from tests.contract import Deployment, check_problem, post_unfinished
from tests.pictures import encode, huge_png, photograph, plain

PNG = encode(plain((200, 10, 10)))
CAT = encode(photograph("chelsea"), "JPEG")
FORM = "multipart/form-data; boundary=b"


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
    check_problem(deployment.predict(b"%PDF-1.7 not an image"), 415, "unsupported_media_type")
    lie = deployment.client.post("/predict", content=b"text", headers={"content-type": "image/png"})
    check_problem(lie, 415, "unsupported_media_type")
    json = deployment.client.post("/predict", json={"image": "…"})
    assert "multipart/form-data" in str(check_problem(json, 415, "unsupported_media_type")["detail"])
    check_problem(deployment.client.post("/predict"), 415, "unsupported_media_type")


def test_undecodable_image(deployment: Deployment) -> None:
    check_problem(deployment.predict(CAT[: len(CAT) // 2]), 422, "undecodable_image")
    check_problem(deployment.predict(PNG[:40]), 422, "undecodable_image")


def test_too_many_pixels(deployment: Deployment) -> None:
    check_problem(deployment.predict(huge_png(100_000, 100_000)), 413, "too_many_pixels")


def test_payload_too_large_is_said_before_a_terabyte_is_sent(deployment: Deployment) -> None:
    headers = {"Content-Type": "image/png", "Content-Length": str(10**12)} | key_headers(deployment)
    response = post_unfinished(f"{deployment.url}/predict", headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "payload_too_large"  # a proxy may have said it, which knows no request id


@pytest.mark.parametrize("top_k", [0, -1, 1_000_000, "five", 2**70])
def test_invalid_parameter(deployment: Deployment, top_k: int | str) -> None:
    problem = check_problem(deployment.predict(PNG, top_k=top_k), 422, "invalid_parameter")
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
    check_problem(deployment.predict(PNG, model="no-such-model"), 404, "model_not_found")
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
    name = deployment.default_model()["name"]
    with stranger:
        managed = stranger.post(f"/models/{name}/load")
        asked = [stranger.get("/models"), stranger.post("/predict", files={"file": PNG})]
        asked += [stranger.get("/models", headers=wrong) for wrong in (
            {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic d3Jvbmc6a2V5"},
        )]  # fmt: skip
    assert managed.json()["code"] in ("forbidden", "unauthorized")  # by whether there are admin keys
    if deployment.key is None:
        assert {response.status_code for response in asked} == {200}
        return
    for response in asked:
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
    bearer = {"authorization": f"Bearer {deployment.key}"}
    assert httpx.get(f"{deployment.url}/models", headers=bearer, timeout=60).status_code == 200


def test_a_batch_of_more_files_than_documented_is_refused(deployment: Deployment) -> None:
    operation = deployment.client.get("/openapi.json").json()["paths"]["/predict/batch"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    most = form["properties"]["file"]["maxItems"]
    check_problem(deployment.predict_batch(*[PNG] * (most + 1)), 400, "malformed_request")


def test_a_problem_is_in_the_callers_language(deployment: Deployment) -> None:
    """Codes are not."""
    for accept_language, language in (("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en, zh;q=0.5", "en"), ("fr", "en")):
        headers = {"Accept-Language": accept_language}
        response = deployment.client.post("/predict", files={"file": b"text"}, headers=headers)
        title = check_problem(response, 415, "unsupported_media_type")["title"]
        assert title == ("不支持该图片格式" if language == "zh-CN" else "Unsupported image format")
        assert response.headers["content-language"] == language
        assert "Accept-Language" in response.headers["vary"]
