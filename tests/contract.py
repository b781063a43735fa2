"""What every answer of the HTTP contract has in common, for tests that look at one over HTTP."""

import http.client
import os
import ssl
from dataclasses import dataclass

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
