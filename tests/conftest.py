"""Fixtures that more than one folder of tests uses."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract import add_options
from tests.dummy import DummyNetwork, dummy_model
from tests.running import ROOT, RunningService, clean_environment, running, running_process


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the embedded default prepared by the script that users run; its weights are real."""
    store = tmp_path_factory.mktemp("store")
    subprocess.run(
        [sys.executable, "scripts/prepare_model.py", "efficientnet_lite0", "--no-measure"],
        cwd=ROOT,
        env=clean_environment() | {"VGG_STORE_DIR": str(store)},
        check=True,
        capture_output=True,
    )
    return store


@pytest.fixture(scope="session")
def real_service(embedded_store: Path) -> Iterator[str]:
    """The address of a real service with the embedded default's real weights, in several processes where it can be."""
    settings = {"VGG_STORE_DIR": str(embedded_store), "VGG_MODEL": "efficientnet_lite0", "VGG_MAX_QUEUE_DELAY_S": "60"}
    settings |= {"VGG_FRONTS": "2"} if sys.platform == "linux" else {}
    with running_process(settings) as (url, _):
        yield url


@pytest.fixture
def network() -> DummyNetwork:
    return DummyNetwork()


@pytest.fixture
def service(network: DummyNetwork) -> Iterator[RunningService]:
    """A service in this process, answering with the dummy network."""
    with running(dummy_model(network)) as started:
        yield started
