"""The image run as the compose file runs it: prepare, start, classify a photograph, drain, stop."""

import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image as Picture

from app.settings import Settings
from tests.system.deployment.container import Container, Image, Order, start
from tests.system.deployment.programs import require, say

MODEL = "checked"
HOST = "127.0.0.20"
START_S = 180
WORK_S = 300
LOST = 0  # in the place of a status: the connection broke


def prepare(image: Image, store: Path, weights: Path) -> None:
    """The one-shot service: makes a model out of somebody's file, then finds it prepared when it runs again."""
    weights_inside = "/weights.pth"
    command = ["--name", MODEL, "--architecture", "vgg16", "--from-file", weights_inside, "--no-measure"]
    extra, settings = {weights: weights_inside}, {"VGG_DEVICE": "cpu"}
    first = Order("prepare", volumes={"store": store}, command=command, extra=extra, settings=settings)
    say(_to_its_end(image, first).splitlines()[-1])
    again = Order("prepare", {"VGG_MODEL": MODEL}, volumes={"store": store}, settings=settings)
    say(_to_its_end(image, again).splitlines()[-1])


def _to_its_end(image: Image, order: Order) -> str:
    container = start(image, order, "check-prepare")
    try:
        status = container.process.wait(WORK_S)
        require(status == 0, f"{order.service} ended with {status}:\n{container.words()}")
        return container.words()
    finally:
        container.remove()


def check_service(image: Image, store: Path, empty: Path, photograph: bytes) -> None:
    refuses_to_start_unprepared(image, empty)
    say("without weights: exit 1 and the paragraph that says what to do")
    refuses_to_serve_without_its_device(image, store)
    say("the service for a GPU, without one: exit 1 and the reason")
    expected = expected_class(store, photograph)
    began = time.monotonic()
    with serving(image, store, "check-service", HOST) as container:
        say(f"ready {time.monotonic() - began:.1f} s after the start")
        is_confined(container)
        say("uid 10001, no capabilities, no new privileges, nothing writable but /tmp, no compiler, no pip")
        require(container.run(["python", "-m", "app.server.healthcheck"]).returncode == 0, "the health check fails")
        classifies(HOST, photograph, expected)
        require(status_of(f"http://{HOST}:8000/page/main.js") == httpx.codes.OK, "the page is not in the image")
        say("the page is there")
        drains(container, HOST, photograph)


def untrained_weights(folder: Path) -> Path:
    """VGG16 as it is before training: its answers mean nothing, but they are answers, and always the same."""
    import torch
    from torchvision.models import vgg16

    torch.manual_seed(0)
    path = folder / "untrained.pth"
    torch.save(vgg16().state_dict(), path)
    return path


def refuses_to_start_unprepared(image: Image, empty: Path) -> None:
    """Strict: without the model's weights it exits, with the paragraph that says what to do."""
    container = start(image, Order("cpu", volumes={"store": empty}), "check-strict")
    try:
        status = container.process.wait(60)
        require(status == 1, f"without weights it ended with {status}")
        require("The weights of 'vgg16' are missing" in container.words(), container.words())
    finally:
        container.remove()


def refuses_to_serve_without_its_device(image: Image, store: Path) -> None:
    """Nothing is served on the CPU unnoticed."""
    container = start(image, Order("gpu", {"VGG_MODEL": MODEL}, volumes={"store": store}), "check-no-device")
    try:
        status = container.process.wait(60)
        require(status == 1, f"without a device it ended with {status}")
        require("VGG_DEVICE=cuda, but " in container.words(), container.words())
    finally:
        container.remove()


@contextmanager
def serving(image: Image, store: Path, name: str, host: str, **settings: str) -> Iterator[Container]:
    """The compose file's service on an address of its own, ready."""
    variables = {"VGG_MODEL": MODEL}
    order = Order("cpu", variables, {"VGG_HOST": host} | settings, {"store": store})
    container = start(image, order, name)
    try:
        wait_ready(container, host)
        yield container
    finally:
        container.remove()


def wait_ready(container: Container, host: str) -> None:
    deadline = time.monotonic() + START_S
    while status_of(f"http://{host}:8000/readyz") != httpx.codes.OK:
        require(container.process.poll() is None, f"{container.name} ended:\n{container.words()}")
        require(time.monotonic() < deadline, f"{container.name} is not ready after {START_S} s")
        time.sleep(0.1)


def status_of(url: str) -> int:
    """Its status, 0 when nobody answers."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0


def is_confined(container: Container) -> None:
    """What the compose file forbids is forbidden, seen from the kernel and from inside."""
    seen = container.status()
    require(seen["Uid"].split() == ["10001"] * 4, f"uid {seen['Uid']}")
    require(int(seen["CapBnd"], 16) == int(seen["CapEff"], 16) == 0, "capabilities are left")
    require(seen["NoNewPrivs"] == "1", "new privileges are possible")
    for place in ("/app/x", "/x", "/store/x", "/etc/x"):
        result = container.run(["touch", place])
        require(result.returncode and "Read-only" in result.stderr, f"{place} can be written: {result.stderr}")
    require(container.run(["touch", "/tmp/x"]).returncode == 0, "/tmp cannot be written")  # noqa: S108
    for tool in ("gcc", "cc", "make", "pip"):
        require(container.run(["sh", "-c", f"command -v {tool}"]).returncode, f"{tool} is in the image")


def classifies(host: str, photograph: bytes, expected: int) -> None:
    """A photograph of 5 MB gets the answer that the checkout gives to it."""
    answer = httpx.post(f"http://{host}:8000/predict", files={"file": photograph}, timeout=60).raise_for_status().json()
    best = answer["predictions"][0]
    require(best["class_index"] == expected, f"the image says {best}, the checkout {expected}")
    say(f"{len(photograph) / 1e6:.1f} MB, {answer['image']['width']} × {answer['image']['height']}: "
        f"{best['label_en']} / {best['label_zh']} ({best['probability']:.4f}), {answer['timing_ms']}")  # fmt: skip


def expected_class(store: Path, photograph: bytes) -> int:
    """The checkout's own answer, without any server."""
    from app.image.reader import Reader
    from app.model.load import load_model

    model = load_model(MODEL, Settings(store_dir=store, device="cpu", max_batch_size=1))
    reading = Reader(100_000_000, exact=False).read(photograph, model.manifest.preprocessing.centre_crop())
    indices, _ = model.network.top_k(reading.pixels, 1)
    return int(indices[0, 0])


def photograph_of_5_mb() -> bytes:
    """A real photograph (scikit-image ships it), enlarged, with a camera's grain, as a JPEG of at least 5 MB."""
    from skimage import data

    small = Picture.fromarray(data.chelsea())  # type: ignore[no-untyped-call]
    large = small.resize((3648, 2432), Picture.Resampling.LANCZOS)
    grain = np.random.default_rng(0).normal(0, 6, (2432, 3648, 1))
    noisy = Picture.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))
    for quality in range(80, 100):
        buffer = io.BytesIO()
        noisy.save(buffer, "JPEG", quality=quality)
        if buffer.tell() >= 5_000_000:
            return buffer.getvalue()
    raise AssertionError("no quality gives 5 MB")


def drains(container: Container, host: str, photograph: bytes) -> None:
    """SIGTERM under load: unready, what was accepted answered, exit 0, within the compose file's grace period."""
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                statuses.append(
                    httpx.post(f"http://{host}:8000/predict", files={"file": photograph}, timeout=60).status_code
                )
            except httpx.ConnectError:
                return  # gone, as it should be
            except httpx.TransportError:
                statuses.append(LOST)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    began = time.monotonic()
    container.kill(signal.SIGTERM)
    time.sleep(1)
    require(container.run(["python", "-m", "app.server.healthcheck"]).returncode == 1, "still healthy after SIGTERM")
    status = container.process.wait(45)
    done.set()
    for thread in threads:
        thread.join()
    require(status == 0, f"it ended with {status}:\n{container.words()}")
    require(set(statuses) <= {200, 503}, f"answers while it left: {statuses}")
    say(f"SIGTERM under load: exit 0 after {time.monotonic() - began:.1f} s, {statuses.count(200)} answered, "
        f"{statuses.count(503)} refused as draining, none lost")  # fmt: skip
