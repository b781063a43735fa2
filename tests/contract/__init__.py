"""The HTTP contract, held by any deployment: all that the tests in here need is a URL.

    scripts/check-contract https://vgg.example

Without one they hold two services that they start themselves. Nothing here may know which networks are served, how the
service is set up, or what it is made of. What every answer has in common is checked the same way by other tests, too.
"""

import http.client
import os
import ssl
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

PROBLEM = {"type", "title", "status", "detail", "code", "request_id"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running service of which nothing is known but its address, and a key if it wants one."""

    url: str
    key: str | None
    client: httpx.Client
    """Sends the key."""

    def predict(self, data: bytes, **params: str | int) -> httpx.Response:
        return self.client.post("/predict", files={"file": ("picture", data)}, params=params)

    def predict_batch(self, *files: bytes) -> httpx.Response:
        parts = [("file", (f"{number}.png", data)) for number, data in enumerate(files)]
        return self.client.post("/predict/batch", files=parts)

    def default_model(self) -> dict[str, Any]:
        """As ``GET /models`` lists it."""
        listed = self.client.get("/models").raise_for_status().json()
        (model,) = (model for model in listed["models"] if model["name"] == listed["default"])
        assert isinstance(model, dict)
        return model


def add_options(parser: pytest.Parser) -> None:
    parser.addoption(
        "--url", default=os.environ.get("VGG_TEST_URL"),
        help="hold this deployment to the HTTP contract (default: VGG_TEST_URL, or services that the tests start)",
    )  # fmt: skip


def key_from_environment() -> str | None:
    """A secret is no option: command lines can be seen by everybody on a machine."""
    return os.environ.get("VGG_TEST_API_KEY")


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The whole form of an error, whatever its code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = response.json()
    assert problem.keys() == PROBLEM
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return problem


def post_unfinished(url: str, headers: dict[str, str], body: bytes = b"", timeout_s: float = 20) -> httpx.Response:
    """The answer to a request whose body is announced and never comes, or comes to its first bytes only."""
    address = httpx.URL(url)
    connection = (
        http.client.HTTPSConnection(address.host, address.port, timeout=timeout_s, context=ssl.create_default_context())
        if address.scheme == "https"
        else http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    )
    try:
        connection.putrequest("POST", address.path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()
