"""The access record, and what becomes of a body that nobody wants."""

import socket

import httpx
import pytest

from app.errors import UnsupportedMediaType
from app.serving.pipeline import Pipeline
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running, wait_until

RED = png((200, 10, 10))


def records(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(record) for record in caplog.records if record.name == "app.requests"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "app.requests")
    return caplog


def test_a_prediction_leaves_one_record(service: RunningService, log: pytest.LogCaptureFixture) -> None:
    service.client.get("/livez")
    response = service.client.post("/predict", content=RED, headers={"content-type": "image/png"})
    wait_until(lambda: len(records(log)) == 1)
    (record,) = records(log)
    assert record["request_id"] == response.headers["x-request-id"]
    assert (record["method"], record["route"], record["status"], record["code"]) == ("POST", "/predict", 200, "ok")
    assert (record["model"], record["batch_size"], record["upload_bytes"]) == ("vgg16", 1, len(RED))
    timing = record["timing_ms"]
    assert isinstance(timing, dict)
    assert list(timing) == ["decode", "preprocess", "queue", "inference", "total"]


def test_a_refusal_names_the_model_that_was_asked_and_the_code(
    service: RunningService, log: pytest.LogCaptureFixture
) -> None:
    assert service.predict(b"text", model="vgg16").status_code == UnsupportedMediaType.status
    assert service.predict(RED, model="resnet").status_code == 404
    assert service.client.get("/nothing").status_code == 404
    wait_until(lambda: len(records(log)) == 3)
    found = [(record["route"], record["code"], record["model"], record["batch_size"]) for record in records(log)]
    assert found == [
        ("/predict", "unsupported_media_type", "vgg16", None),
        ("/predict", "model_not_found", None, None),
        ("unmatched", "not_found", None, None),
    ]


def test_a_defect_is_logged_with_its_id_and_told_without_its_text(
    service: RunningService, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(self: Pipeline, *arguments: object) -> None:
        raise LookupError("secret")

    monkeypatch.setattr(Pipeline, "predict", defect)
    response = service.predict(RED)
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    (defects,) = [record for record in log.records if record.levelname == "ERROR"]
    assert vars(defects)["request_id"] == response.headers["x-request-id"]
    assert 'requests_total{code="internal",route="/predict"} 1.0' in service.client.get("/metrics").text


def test_a_client_that_is_still_sending_reads_its_refusal(network: DummyNetwork) -> None:
    with running(dummy_model(network), max_upload_mb=1) as service:
        address = httpx.URL(service.url)
        with socket.create_connection((address.host, address.port or 80), 10) as connection:
            head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            head += f"Content-Length: {3 * 2**20}\r\n\r\n"
            connection.sendall(head.encode())
            for _ in range(3):
                connection.sendall(bytes(2**20))
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"payload_too_large"' in answer


def test_a_client_that_asks_before_it_sends_is_refused_at_once(network: DummyNetwork) -> None:
    with running(dummy_model(network), max_upload_mb=1) as service:
        address = httpx.URL(service.url)
        with socket.create_connection((address.host, address.port or 80), 10) as connection:
            connection.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
                b"Content-Length: 99999999\r\n\r\n"
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer
