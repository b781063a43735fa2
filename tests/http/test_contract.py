"""Each code of the HTTP contract, seen over HTTP."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.model.registry import ServedModel
from app.serving.batcher import Batcher
from app.serving.lifecycle import State
from tests.dummy import POISON_BLUE, DummyNetwork, dummy_model
from tests.pictures import encode, huge_png, photograph, png
from tests.running import RunningService, running, wait_until

RED = png((200, 10, 10))
STALLED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nxx"


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The whole form of an error, whatever its code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "code", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return problem


# What was sent


def test_missing_file(service: RunningService) -> None:
    client = service.client
    check_problem(client.post("/predict", files={"other": ("x.png", RED)}), 400, "missing_file")
    check_problem(client.post("/predict", files={"file": ("x.png", b"")}), 400, "missing_file")
    check_problem(client.post("/predict", headers={"content-type": "image/png"}), 400, "missing_file")
    form = {"content-type": "multipart/form-data; boundary=b"}
    text = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nnot a file\r\n--b--\r\n'
    check_problem(client.post("/predict", content=text, headers=form), 400, "missing_file")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"anything"),
        ("multipart/form-data; boundary=b", b"no boundary in here"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx',
        ),
        ("multipart/form-data; boundary=b", b""),
    ],
)
def test_malformed_request(service: RunningService, content_type: str, body: bytes) -> None:
    response = service.client.post("/predict", content=body, headers={"content-type": content_type})
    check_problem(response, 400, "malformed_request")


def test_a_broken_form_leaves_nothing_of_itself_in_the_log(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"--b\r\nContent-Disposition: form-data; na\x01me\r\n: x\r\n\r\n--b--\r\n"
    form = {"content-type": "multipart/form-data; boundary=b"}
    with caplog.at_level("INFO"):
        check_problem(service.client.post("/predict", content=body, headers=form), 400, "malformed_request")
    assert {record.name for record in caplog.records if record.name != "httpx"} == {"app.requests"}


def test_unsupported_media_type(service: RunningService) -> None:
    check_problem(service.predict(b"%PDF-1.7 not an image"), 415, "unsupported_media_type")
    lie = service.client.post("/predict", content=b"text", headers={"content-type": "image/png"})
    check_problem(lie, 415, "unsupported_media_type")
    json = service.client.post("/predict", json={"image": "…"})
    assert "multipart/form-data" in str(check_problem(json, 415, "unsupported_media_type")["detail"])
    check_problem(service.client.post("/predict"), 415, "unsupported_media_type")


def test_undecodable_image(service: RunningService) -> None:
    jpeg = encode(photograph(), "JPEG")
    check_problem(service.predict(jpeg[: len(jpeg) // 2]), 422, "undecodable_image")
    check_problem(service.predict(RED[:40]), 422, "undecodable_image")


def test_too_many_pixels(service: RunningService) -> None:
    check_problem(service.predict(huge_png(100_000, 100_000)), 413, "too_many_pixels")


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


@pytest.mark.parametrize("top_k", [0, -1, 1001, "five", 2**70])
def test_invalid_parameter(service: RunningService, top_k: int | str) -> None:
    problem = check_problem(service.predict(RED, top_k=top_k), 422, "invalid_parameter")
    assert "top_k" in str(problem["detail"])


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1e3", "²", "9" * 40, "1" * 5000])
def test_an_invalid_deadline(service: RunningService, value: str) -> None:
    headers = {b"X-Request-Timeout-Ms": value.encode()}
    response = service.client.post("/predict", files={"file": RED}, headers=headers)
    check_problem(response, 422, "invalid_parameter")


def test_model_not_found(service: RunningService) -> None:
    check_problem(service.predict(RED, model="resnet"), 404, "model_not_found")
    check_problem(service.client.get("/models/resnet"), 404, "model_not_found")


def test_not_found_and_method_not_allowed(service: RunningService) -> None:
    check_problem(service.client.get("/nothing"), 404, "not_found")
    response = service.client.get("/predict")
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


# Who may call


@pytest.fixture
def locked(network: DummyNetwork) -> Iterator[RunningService]:
    with running(dummy_model(network), api_keys="first, second", max_requests_per_key=2) as service:
        yield service


def test_unauthorized(locked: RunningService) -> None:
    client = locked.client
    check_problem(locked.predict(RED), 401, "unauthorized")
    for headers in ({"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": "Basic first"}):
        response = client.post("/predict", files={"file": RED}, headers=headers)
        check_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
    for path in ("/models", "/models/vgg16"):
        check_problem(client.get(path), 401, "unauthorized")
    check_problem(client.post("/models/vgg16/load"), 401, "unauthorized")
    for headers in ({"x-api-key": "first"}, {"authorization": "Bearer second"}):
        assert client.post("/predict", files={"file": RED}, headers=headers).status_code == 200
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_forbidden(service: RunningService) -> None:
    check_problem(service.client.post("/models/vgg16/load"), 403, "forbidden")


def test_too_many_requests(locked: RunningService, network: DummyNetwork) -> None:
    network.gate.clear()

    def post(key: str) -> httpx.Response:
        return httpx.post(f"{locked.url}/predict", files={"file": RED}, headers={"x-api-key": key}, timeout=30)

    with ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(post, "first") for _ in range(2)]
        wait_until(lambda: locked.service.admission.in_flight == 2)
        refused = post("first")
        other = pool.submit(post, "second")
        wait_until(lambda: locked.service.admission.in_flight == 3)
        network.gate.set()
        assert [future.result().status_code for future in (*accepted, other)] == [200, 200, 200]
    check_problem(refused, 429, "too_many_requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert post("first").status_code == 200


# How much at once


def test_queue_full_is_exact_and_says_when_to_come_back(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network), max_queue_size=5) as service, ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(service.predict, RED) for _ in range(16)]
        wait_until(lambda: sum(future.done() for future in futures) == 11)
        assert service.service.admission.in_flight == 5
        assert service.client.get("/readyz").status_code == 200  # being busy is not being ill
        network.gate.set()
        responses = [future.result() for future in futures]
        refused = [response for response in responses if response.status_code != 200]
        assert len(refused) == 11
        for response in refused:
            check_problem(response, 429, "queue_full")
            assert int(response.headers["retry-after"]) >= 1
        assert service.predict(RED).status_code == 200


def test_a_wait_longer_than_promised_is_refused_at_once() -> None:
    network = DummyNetwork(0.2)
    with running(dummy_model(network, max_batch_size=1), max_queue_delay_s=0.5) as service:
        service.predict(RED)  # 5 images a second, measured
        with ThreadPoolExecutor(10) as pool:
            responses = list(pool.map(lambda _: service.predict(RED), range(10)))
        codes = [response.status_code for response in responses]
        assert codes.count(200) >= 3
        assert codes.count(429) >= 5
        assert set(codes) == {200, 429}
        detail = next(response for response in responses if response.status_code == 429)
        check_problem(detail, 429, "queue_full")


def test_the_uploads_in_flight_are_bounded_in_bytes(network: DummyNetwork) -> None:
    network.gate.clear()
    large = RED + bytes(400_000)
    with running(dummy_model(network), max_buffer_mb=1) as service, ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(service.predict, large) for _ in range(2)]
        wait_until(lambda: service.service.admission.in_flight == 2)
        assert 800_000 < service.service.admission.buffered_bytes < 2**20
        refused = service.predict(large)
        check_problem(refused, 429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        small = pool.submit(service.predict, RED)
        wait_until(lambda: service.service.admission.in_flight == 3)
        network.gate.set()
        assert [future.result().status_code for future in (*accepted, small)] == [200, 200, 200]
        assert service.service.admission.buffered_bytes == 0


def test_uploads_that_stall_lock_nobody_out() -> None:
    with running(dummy_model(DummyNetwork(0.025), max_batch_size=1), max_queue_delay_s=0.5) as service:
        service.predict(RED)  # at most 40 images a second, measured: 40 requests are at least 1 s of work
        address = httpx.URL(service.url)
        idle = [socket.create_connection((address.host, address.port or 80)) for _ in range(40)]
        for connection in idle[:10]:
            connection.sendall(STALLED)
        wait_until(lambda: service.service.admission.in_flight == 10)
        time.sleep(1.1)
        for connection in idle[10:]:
            connection.sendall(STALLED)
        wait_until(lambda: service.service.admission._expected_delay_s() > 0.5)
        check_problem(service.predict(RED), 429, "queue_full")  # they may all be about to arrive
        time.sleep(1.1)
        assert service.predict(RED).status_code == 200  # they are not
        for connection in idle:
            connection.close()


# How long


def test_deadline_exceeded_leaves_the_queue_before_the_network(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: service.service.admission.in_flight == 1)
        time.sleep(0.1)
        response = service.client.post("/predict", files={"file": RED}, headers={"x-request-timeout-ms": "150"})
        check_problem(response, 504, "deadline_exceeded")
        network.gate.set()
        assert first.result().status_code == 200
        assert network.batches == [1]


def test_upload_timeout(network: DummyNetwork) -> None:
    with running(dummy_model(network), upload_timeout_s=0.3) as service:

        def slow() -> Iterator[bytes]:
            yield RED[:50]
            time.sleep(0.8)
            yield RED[50:]

        response = service.client.post("/predict", content=slow(), headers={"content-type": "image/png"})
        check_problem(response, 408, "upload_timeout")
        assert service.predict(RED).status_code == 200


def test_a_client_that_leaves_takes_its_picture_out_of_the_queue(network: DummyNetwork) -> None:
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: service.service.admission.in_flight == 1)
        time.sleep(0.1)
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{service.url}/predict", files={"file": RED}, timeout=0.1)
        wait_until(lambda: service.service.admission.in_flight == 1)
        network.gate.set()
        assert first.result().status_code == 200
        assert service.predict(RED).status_code == 200
        assert network.batches == [1, 1]
        assert 'requests_cancelled_total{reason="disconnect"} 5.0' in service.client.get("/metrics").text


# How the service is


def test_not_ready_before_the_models_are_loaded(network: DummyNetwork) -> None:
    loaded = threading.Event()

    def load(_: str) -> ServedModel:
        loaded.wait(20)
        return dummy_model(network)

    with running(dummy_model(network), load=load, wait=False) as service:
        check_problem(service.client.get("/readyz"), 503, "not_ready")
        check_problem(service.predict(RED), 503, "not_ready")
        assert service.client.get("/livez").json() == {"status": "live"}
        loaded.set()
        wait_until(lambda: service.client.get("/readyz").status_code == 200)
        assert service.predict(RED).status_code == 200


def test_draining(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        service.service.lifecycle.become(State.LEAVING, "told to stop")
        check_problem(service.client.get("/readyz"), 503, "draining")
        assert service.predict(RED).status_code == 200  # load balancers need a moment to notice
        service.service.lifecycle.become(State.DRAINING, "told to stop")
        check_problem(service.predict(RED), 503, "draining")
        assert service.client.get("/livez").status_code == 200


def test_internal_is_the_culprits_alone(network: DummyNetwork) -> None:
    poison = png((1, 2, POISON_BLUE))
    network.gate.clear()
    with running(dummy_model(network)) as service, ThreadPoolExecutor(8) as pool:
        first = pool.submit(service.predict, RED)
        wait_until(lambda: service.service.admission.in_flight == 1)
        time.sleep(0.1)
        good = [pool.submit(service.predict, png((number, 0, 0))) for number in range(6)]
        bad = pool.submit(service.predict, poison)
        wait_until(lambda: service.service.admission.in_flight == 8)
        time.sleep(0.1)
        network.gate.set()
        assert [future.result().json()["predictions"][0]["class_index"] for future in good] == list(range(6))
        assert first.result().status_code == 200
        problem = check_problem(bad.result(), 500, "internal")
        assert "poison" not in str(problem)


def test_a_dead_batch_loop_is_not_ready_and_stops_the_server(
    network: DummyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, key: object) -> None:
        raise LookupError

    with running(dummy_model(network)) as service:
        monkeypatch.setattr(Batcher, "_take", broken)
        check_problem(service.predict(RED), 500, "internal")
        wait_until(lambda: not _listens(service.url))
        assert service.service.lifecycle.state is State.FAILED


def test_a_network_beyond_use_is_not_ready_and_stops_the_server(network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        network.broken = True
        check_problem(service.predict(RED), 500, "internal")
        wait_until(lambda: not _listens(service.url))
        assert service.service.lifecycle.state is State.FAILED


def test_a_forward_pass_that_never_ends_stops_the_server(network: DummyNetwork) -> None:
    with running(dummy_model(network), forward_timeout_s=0.3) as service, ThreadPoolExecutor(1) as pool:
        network.gate.clear()
        pool.submit(service.predict, RED)
        wait_until(lambda: service.service.lifecycle.state is State.FAILED)
        network.gate.set()


def _listens(url: str) -> bool:
    try:
        socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 80), 0.2).close()
    except OSError:
        return False
    return True
