"""haproxy itself, with the deployed configuration, before a running service; only addresses and certificate differ."""

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app.errors import NotFound, PayloadTooLarge
from app.http.chinese import TITLES
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import ROOT, RunningService, listens, running, wait_until
from tests.system.deployment.compose import read_compose
from tests.system.deployment.paths import PRIVATE, PUBLIC, ask, is_refused

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
ENVIRONMENT = {key: str(value) for key, value in read_compose({})["services"]["proxy"]["environment"].items()}
RED = png((200, 10, 10))
MIB = 2**20
MISSING = [program for program in ("haproxy", "openssl") if shutil.which(program) is None]
needs_haproxy = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{' and '.join(MISSING)} not installed: the proxy's rules are NOT checked (apt install haproxy)",
)


class Proxy(NamedTuple):
    address: tuple[str, int]
    context: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.address[1]}"


def free_address() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", probe.getsockname()[1]


def placed(replica: str, address: tuple[str, int], pem: Path) -> str:
    """The deployed file, with this machine's addresses in it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for deployed, here in (
        ("bind :8443 ssl crt /run/secrets/tls.pem", f"bind {address[0]}:{address[1]} ssl crt {pem}"),
        ("server gpu gpu:8000", f"server gpu {replica}"),
        ("server gpu-b gpu-b:8000", "server gpu-b 127.0.0.1:9 disabled"),
    ):
        assert text.count(deployed) == 1, deployed
        text = text.replace(deployed, here)
    return text


def make_certificate(folder: Path) -> Path:
    """Certificate and key in one file."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "tls.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    both.write_text(certificate.read_text() + key.read_text())
    return both


@contextmanager
def proxied(service: RunningService, folder: Path) -> Iterator[Proxy]:
    pem, address, file = make_certificate(folder), free_address(), folder / "haproxy.cfg"
    replica = httpx.URL(service.url)
    file.write_text(placed(f"{replica.host}:{replica.port}", address, pem))
    environment = os.environ | ENVIRONMENT
    checked = subprocess.run(
        ["haproxy", "-c", "-f", file], env=environment, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARN" not in checked.stderr.upper().replace("WARNINGS", ""), checked.stderr
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["haproxy", "-f", file], env=environment, stdout=log, stderr=log)
        try:
            proxy = Proxy(address, ssl.create_default_context(cafile=str(pem)))
            wait_until(lambda: listens(f"http://{address[0]}:{address[1]}"))
            wait_until(lambda: ask(proxy.address, proxy.context, "/readyz").status == 200)
            yield proxy
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        running(dummy_model(DummyNetwork()), admin_keys="operator", allowed_hosts="localhost") as service,
        proxied(service, tmp_path_factory.mktemp("proxy")) as found,
    ):
        yield found


@needs_haproxy
@pytest.mark.parametrize("target", PUBLIC)
def test_what_is_meant_for_callers_goes_through(proxy: Proxy, target: str) -> None:
    assert ask(proxy.address, proxy.context, target).status == 200


@needs_haproxy
@pytest.mark.parametrize("target", PRIVATE)
def test_metrics_and_management_stay_inside_however_they_are_spelt(proxy: Proxy, target: str) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        answer = ask(proxy.address, proxy.context, target, method, "X-API-Key: operator\r\nContent-Length: 0\r\n")
        assert is_refused(answer, method), (method, answer)


@needs_haproxy
def test_a_photograph_passes_and_what_announces_too_much_does_not(proxy: Proxy) -> None:
    with httpx.Client(base_url=proxy.url, verify=proxy.context) as client:
        assert client.post("/predict", files={"file": RED}).status_code == 200
        batch = [("file", RED), ("file", RED)]
        assert len(client.post("/predict/batch", files=batch).json()["results"]) == 2

    def announced(target: str, mebibytes: int) -> int:
        """The status of a form that has no boundary and is never sent: the service finds the first out at once."""
        more = f"Content-Type: multipart/form-data\r\nExpect: 100-continue\r\nContent-Length: {mebibytes * MIB}\r\n"
        return ask(proxy.address, proxy.context, target, "POST", more).status

    assert announced("/predict", 30) == 400
    assert announced("/predict", 40) == 413
    for batch_path in ("/predict/batch", "/predict%2fbatch", "/predict/%62atch", "/%70redict/batch"):
        assert announced(batch_path, 40) == 400, batch_path  # may be several files
        assert announced(batch_path, 560) == 413, batch_path


@needs_haproxy
@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("zh", "zh-CN"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_what_the_proxy_refuses_itself_is_in_the_callers_language(
    proxy: Proxy, accept_language: str, language: str
) -> None:
    with httpx.Client(base_url=proxy.url, verify=proxy.context) as client:
        unknown = client.get("/metrics", headers={"Accept-Language": accept_language})
    assert (unknown.headers["content-language"], unknown.headers["vary"]) == (language, "Accept-Language")
    more = f"Accept-Language: {accept_language}\r\nExpect: 100-continue\r\nContent-Length: {40 * MIB}\r\n"
    too_large = json.loads(ask(proxy.address, proxy.context, "/predict", "POST", more).body)
    for problem, error in ((unknown.json(), NotFound), (too_large, PayloadTooLarge)):
        assert problem["code"] == error.code
        assert problem["title"] == (TITLES[error.code] if language == "zh-CN" else error.title)


@needs_haproxy
def test_hosts_are_the_services_to_allow(proxy: Proxy) -> None:
    """haproxy's own checks pass all the same: they would have taken the replica out."""
    with httpx.Client(base_url=proxy.url, verify=proxy.context) as client:
        assert client.get("/models").status_code == 200
        assert client.get("/models", headers={"host": "evil.example"}).status_code == 421


def test_only_a_list_of_paths_is_public() -> None:
    """What can be seen without haproxy: nothing is matched before it is decoded, and the rest is refused."""
    lines = [line.strip() for line in CONFIGURATION.read_text(encoding="utf-8").splitlines()]
    rules = [line for line in lines if line.startswith(("http-request", "acl"))]
    assert rules[0] == "http-request set-var(txn.path) path,url_dec"
    assert not any(" path " in rule for rule in rules[1:])
    chinese, english = (rule for rule in rules if " status 404 " in rule)
    assert chinese.endswith(" if reads_chinese !is_public")
    assert english.endswith(" unless is_public")
    (exact,) = (rule for rule in rules if rule.startswith("acl is_public") and " -m str " in rule)
    public = set(exact.partition(" -m str ")[2].split())
    callers = {"/predict", "/predict/batch", "/models", "/labels"}
    assert public == callers | {"/", "/docs", "/openapi.json", "/livez", "/readyz"}
