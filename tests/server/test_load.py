"""Replicas take in a model one by one, each asked from within its own container."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.running import ROOT, clean_environment, running_process

KEY = {"VGG_ADMIN_KEYS": "operator, other", "VGG_API_KEYS": "client"}


def load(url: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """As ``docker compose exec`` runs it."""
    settings = {"VGG_HOST": "0.0.0.0", "VGG_PORT": url.rpartition(":")[2]} | KEY | environment  # noqa: S104
    command = [sys.executable, "-m", "app.server.load", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=clean_environment() | settings, capture_output=True, text=True, check=False, timeout=60
    )


def served(url: str) -> dict[str, str]:
    """Name -> since when."""
    answer = httpx.get(f"{url}/models", headers={"X-API-Key": "client"}).json()
    return {model["name"]: model["served_since"] for model in answer["models"]}


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[str]]:
    with ExitStack() as stack:
        started = [stack.enter_context(running_process(KEY, module="tests.dummy_service")) for _ in range(2)]
        yield [url for url, _ in started]


def test_each_replica_that_is_asked_serves_it_and_says_since_when(replicas: list[str]) -> None:
    first, second = replicas
    before = served(first)
    assert served(second).keys() == before.keys() == {"vgg16"}
    done = load(first, "other")
    assert (done.returncode, done.stderr) == (0, "")
    since = served(first)["other"]
    assert done.stdout == f"other is served since {since}, version IMAGENET1K_V1.\n"
    assert since > before["vgg16"] == served(first)["vgg16"]
    assert "other" not in served(second)  # nobody else has been asked
    assert load(second, "other").returncode == 0
    assert served(second).keys() == served(first).keys()
    assert load(first, "other").returncode == 0
    assert served(first)["other"] > since  # its replacement


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "words"),
    [
        (["nothing"], {}, 1, "nothing is not loaded: No model of that name has been prepared."),
        (["broken"], {}, 1, "broken is not loaded: The model cannot be loaded; the log says why."),
        (["other"], {"VGG_ADMIN_KEYS": "client"}, 1, "other is not loaded: This key may not manage models"),
        (["other"], {"VGG_PORT": "9"}, 1, "The service at 127.0.0.1:9 did not answer"),
        ([], {}, 2, "python -m app.server.load NAME"),
        (["--help"], {}, 2, "python -m app.server.load NAME"),
    ],
)
def test_what_went_wrong_is_said(
    replicas: list[str], arguments: list[str], environment: dict[str, str], status: int, words: str
) -> None:
    failed = load(replicas[0], *arguments, **environment)
    assert (failed.returncode, failed.stdout) == (status, "")
    assert words in failed.stderr
