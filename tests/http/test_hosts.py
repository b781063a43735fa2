"""Names that callers may use, and a page that nobody may frame."""

import base64
import hashlib
import re

import httpx
import pytest

from app.http.hosts import allowed_hosts, is_allowed, is_loopback
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running

RED = png((200, 10, 10))


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000", "localhost."])
def test_this_machines_own_names_are_answered_to(service: RunningService, name: str) -> None:
    response = service.client.post("/predict", files={"file": RED}, headers={"host": name})
    assert response.status_code == 200


STRANGERS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:8000",
    "",
    "[::1].evil.example",
    "[::1",
    "localhost:evil",
    "0x7f.1",
]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_page_that_was_rebound_to_this_machine_gets_nothing(service: RunningService, name: str) -> None:
    for path in ("/predict", "/models/vgg16/load"):
        response = service.client.post(path, files={"file": RED}, headers={"host": name})
        check_problem(response, 421, "misdirected_request")
    check_problem(service.client.get("/docs", headers={"host": name}), 421, "misdirected_request")
    assert service.service.admission.in_flight == 0


def test_a_service_for_everybody_answers_to_any_name_unless_told(network: DummyNetwork) -> None:
    name = {"host": "photos.example"}
    with running(dummy_model(network), host="0.0.0.0") as service:  # noqa: S104
        url = service.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert httpx.get(f"{url}/models", headers=name).status_code == 200
    with running(
        dummy_model(network), allowed_hosts="*.example"
    ) as service:  # which is asked by address until it is ready
        assert service.client.get("/models", headers=name).status_code == 200
        check_problem(service.client.get("/models", headers={"host": "localhost"}), 421, "misdirected_request")


def test_the_rules() -> None:
    assert allowed_hosts((), "0.0.0.0") == ()  # noqa: S104
    assert allowed_hosts(("*",), "127.0.0.1") == ()
    assert "127.0.0.9" in allowed_hosts((), "127.0.0.9")
    assert is_loopback("::1")
    assert not is_loopback("192.0.2.1")
    assert not is_loopback("example.com")
    assert is_allowed("a.b.example:1", ("*.example",))
    assert not is_allowed("example", ("*.example",))
    for address in ("192.0.2.1", "192.0.2.1:8000", "[2001:db8::1]:8000"):  # health checks and Prometheus call so
        assert is_allowed(address, ("photos.example",))


def test_no_redirect_leads_to_a_host_that_the_caller_named(network: DummyNetwork) -> None:
    with running(dummy_model(network), allowed_hosts="*") as service:
        for path in ("/", "/predict/", "/models/", "/docs/", "//", "/docs-assets", "/models//"):
            response = service.client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
            assert "evil" not in response.headers.get("location", ""), path


def test_the_docs_page_runs_its_own_scripts_and_is_framed_by_nobody(service: RunningService) -> None:
    response = service.client.get("/docs")
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == "'none'"
    assert policy["default-src"] == "'none'"
    inline = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    assert inline
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"]
    assert "unsafe" not in policy["script-src"]
