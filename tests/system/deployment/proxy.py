"""``--profile tls`` run for real: haproxy with the deployed configuration before two containers of the image."""

import http.client
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.system.deployment.compose import mounts_of, read_compose
from tests.system.deployment.container import Container, Image, Order, start
from tests.system.deployment.host import Names, name_server, running
from tests.system.deployment.paths import PRIVATE, PUBLIC, ask, is_refused
from tests.system.deployment.programs import output_of, require, say
from tests.system.deployment.service import MODEL, wait_ready

FIRST, SECOND, REPLACED = "127.0.0.21", "127.0.0.22", "127.0.0.23"
ADDRESS = ("127.0.0.1", 8443)
URL = f"https://localhost:{ADDRESS[1]}"
MIB = 2**20
TRAFFIC_S = 60
GAP_S = 5  # between the old container's name and the new one's


def check_proxy(image: Image, store: Path, photograph: bytes, folder: Path) -> None:
    certificate = _self_signed(folder)
    with name_server() as names, _haproxy(folder / "tls.pem"):
        first = _replica(image, store, "gpu", FIRST, names)
        second = _replica(image, store, "gpu-b", SECOND, names)
        try:
            with httpx.Client(base_url=URL, verify=ssl.create_default_context(cafile=str(certificate))) as client:
                _wait(client, httpx.codes.OK)
                _terms(client, photograph)
            with _load(certificate, photograph) as answers:
                first = _replace(image, store, first, names)
            require(set(answers) == {"200"}, f"while a replica was replaced: {dict(answers)}")
            say(f"one of two replicas replaced under load, at a new address: {answers['200']} requests, all 200")
        finally:
            first.remove()
            second.remove()


def _self_signed(folder: Path) -> Path:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    output_of(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)])  # fmt: skip
    (folder / "tls.pem").write_text(certificate.read_text() + key.read_text())
    return certificate


@contextmanager
def _haproxy(pem: Path) -> Iterator[None]:
    compose = read_compose({"TLS_PEM": str(pem)})
    service = compose["services"]["proxy"]
    files = {mount.target: Path(mount.source) for mount in mounts_of(compose, service)}
    (configuration,) = (target for target in files if target.endswith(".cfg"))
    with running(["haproxy", "-f", configuration], files, service["environment"]):
        yield


def _replica(image: Image, store: Path, service: str, host: str, names: Names) -> Container:
    order = Order(service, {"VGG_MODEL": MODEL}, {"VGG_HOST": host, "VGG_DEVICE": "cpu"}, {"store": store})
    container = start(image, order, f"check-{service}-{host.rpartition('.')[2]}")
    try:
        names.set(service, host)
        wait_ready(container, host)
    except BaseException:
        container.remove()
        raise
    return container


def _wait(client: httpx.Client, status: int, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while (answer := client.get("/readyz").status_code) != status:
        require(time.monotonic() < deadline, f"/readyz through the proxy is {answer}")
        time.sleep(0.2)


def _terms(client: httpx.Client, photograph: bytes) -> None:
    """TLS only, a photograph passes, what is too large does not, metrics stay inside."""
    answer = client.post("/predict", files={"file": photograph}, timeout=60)
    require(answer.status_code == httpx.codes.OK, f"through the proxy: {answer.status_code} {answer.text}")
    for path, size, status, by_proxy in (
        ("/predict", 31 * MIB, 415, False),  # within every limit; the service finds no picture in it
        ("/predict", 32 * MIB + 200_000, 413, False),  # a little more: the service counts exactly
        ("/predict", 40 * MIB, 413, True),
        ("/predict/batch", 40 * MIB, 413, False),  # may be several files; here it is one that is too large
        ("/predict/batch", 560 * MIB, 413, True),
    ):
        # Only what the service must read is sent in full; the proxy decides by the announced length.
        body = b"x" * size if not by_proxy else b""
        content = {"Content-Length": str(size), "Content-Type": "image/jpeg"}
        if by_proxy:
            found = _announce(path, content)
        else:
            response = client.post(path, content=body, headers=content, timeout=60)
            found = response.status_code if path != "/predict/batch" else 413 if "too_large" in response.text else 0
        require(found == status, f"{path} with {size} bytes: {found} instead of {status}")
    _paths()
    say(f"{answer.http_version} over TLS: a photograph passes; over-long uploads are 413, "
        f"{len(PRIVATE)} ways to ask for metrics or management are refused")  # fmt: skip


def _paths() -> None:
    unchecked = ssl._create_unverified_context()  # noqa: S323 - the certificate was checked above
    for target in PUBLIC:
        require(ask(ADDRESS, unchecked, target).status < httpx.codes.BAD_REQUEST, f"{target} does not pass the proxy")
    for target in PRIVATE:
        require(is_refused(ask(ADDRESS, unchecked, target)), f"{target} passes the proxy")


def _announce(path: str, headers: dict[str, str]) -> int:
    """The answer to a request's head alone."""
    unchecked = ssl._create_unverified_context()  # noqa: S323 - the certificate was checked above
    connection = http.client.HTTPSConnection("localhost", 8443, timeout=10, context=unchecked)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@contextmanager
def _load(certificate: Path, photograph: bytes) -> Iterator[Counter[str]]:
    """Two callers who ask through the proxy without a pause; what became of their requests."""
    answers: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=URL, verify=context, timeout=60) as client:
            while not done.is_set():
                try:
                    answers[str(client.post("/predict", files={"file": photograph}).status_code)] += 1
                except httpx.TransportError as error:
                    answers[type(error).__name__] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(3)
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _replace(image: Image, store: Path, old: Container, names: Names) -> Container:
    """``docker compose up -d --no-deps --force-recreate gpu``: stop, then start anew at another address."""
    old.kill(signal.SIGTERM)
    require(old.process.wait(45) == 0, old.words())
    old.remove()
    names.set("gpu")
    time.sleep(GAP_S)
    new = _replica(image, store, "gpu", REPLACED, names)
    try:
        found_s = _wait_for_traffic(new)
    except BaseException:
        new.remove()
        raise
    say(f"the proxy sent to the new replica {found_s:.1f} s after it was ready")
    return new


def _wait_for_traffic(new: Container) -> float:
    began = time.monotonic()
    while "POST /predict 200" not in new.words():
        require(time.monotonic() - began < TRAFFIC_S, f"{new.name}, at its new address, gets no request")
        time.sleep(0.2)
    return time.monotonic() - began
