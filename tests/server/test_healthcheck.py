import os
import signal
import subprocess
import sys

import pytest

from tests.dummy import DummyNetwork, dummy_model
from tests.running import ROOT, clean_environment, running, wait_until


def check(host: str, port: int) -> int:
    """As the container runs it."""
    return subprocess.run(
        [sys.executable, "-m", "app.server.healthcheck"],
        cwd=ROOT,
        env=clean_environment() | {"VGG_HOST": host, "VGG_PORT": str(port)},
        check=False,
    ).returncode


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_ready_is_healthy_and_gone_is_not(network: DummyNetwork, host: str) -> None:
    with running(dummy_model(network), host=host) as service:
        port = int(service.url.rpartition(":")[2])
        assert check(host, port) == 0
    assert check(host, port) == 1


def test_leaving_is_unhealthy_while_requests_are_still_served(network: DummyNetwork) -> None:
    with running(dummy_model(network), drain_delay_s=30) as service:
        port = int(service.url.rpartition(":")[2])
        service.server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: service.client.get("/readyz").status_code == 503)
        assert check("127.0.0.1", port) == 1
        assert service.client.get("/livez").status_code == 200


def test_it_imports_nothing_heavy() -> None:
    program = "import sys, app.server.healthcheck; print(sorted({name.split('.')[0] for name in sys.modules}))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    ).stdout
    assert not any(f"'{name}'" in found for name in ("torch", "pydantic", "fastapi", "httpx"))
