"""How large an upload may be, and how slow."""

import io

import pytest

from tests.contract import check_problem, post_unfinished
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import running

RED = png((200, 10, 10))


@pytest.mark.parametrize("framing", ["multipart", "raw", "chunked"])
def test_payload_too_large(network: DummyNetwork, framing: str) -> None:
    with running(dummy_model(network), max_upload_mb=0.5) as service:
        data = bytes(900_000)
        stream = io.BytesIO(data)
        if framing == "multipart":
            response = service.predict(data)
        else:
            content = iter(lambda: stream.read(50_000), b"") if framing == "chunked" else data
            response = service.client.post("/predict", content=content, headers={"content-type": "image/jpeg"})
        check_problem(response, 413, "payload_too_large")
        assert service.predict(RED).status_code == 200


def test_a_file_just_over_the_limit_inside_the_room_for_framing(network: DummyNetwork) -> None:
    with running(dummy_model(network), max_upload_mb=0.5) as service:
        check_problem(service.predict(bytes(2**19 + 1)), 413, "payload_too_large")
        check_problem(service.predict(bytes(2**19)), 415, "unsupported_media_type")


def test_upload_timeout(network: DummyNetwork) -> None:
    headers = {"Content-Type": "image/png", "Content-Length": str(len(RED))}
    with running(dummy_model(network), upload_timeout_s=0.3) as service:
        check_problem(post_unfinished(f"{service.url}/predict", headers, RED[:50]), 408, "upload_timeout")
        assert service.predict(RED).status_code == 200
