"""The deployments that are held to the HTTP contract."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.contract import Deployment, key_from_environment
from tests.dummy import DummyNetwork, dummy_model
from tests.running import running

KEY = "a-key"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "deployment" in metafunc.fixturenames:
        ours = ["dummy network, with keys", "python -m app, open"]
        chosen = metafunc.config.getoption("--url")
        metafunc.parametrize("deployment", [chosen] if chosen else ours, indirect=True, scope="session")


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The one that ``--url`` names; without it an open one and one with keys, one of them a process of its own."""
    with ExitStack() as stack:
        url, key = request.config.getoption("--url"), key_from_environment()
        if url is None and request.param.startswith("dummy"):
            url = stack.enter_context(running(dummy_model(DummyNetwork()), api_keys=KEY, max_queue_delay_s=60)).url
            key = KEY
        elif url is None:
            url, key = request.getfixturevalue("real_service"), None
        headers = {"x-api-key": key} if key else {}
        client = stack.enter_context(httpx.Client(base_url=url, timeout=60, headers=headers))
        yield Deployment(url.rstrip("/"), key, client)
