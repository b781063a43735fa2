#!/usr/bin/env python
"""Measure the service over HTTP beside the bare network, in one run: machines are shared and noisy, ratios hold.

    scripts/benchmark.py --model vgg16 --images FOLDER

Starts `python -m app` itself with the settings of the environment, then, in interleaved rounds, runs the bare network's
loop in this process (batches of one and of the best size, pixels ready in memory) and drives the service with a number
of connections, each sending the next upload when it has its answer. Prints medians over the rounds.
"""

import argparse
import asyncio
import io
import itertools
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from app.image.decode import decode
from app.image.preprocess import preprocess
from app.model.load import load_model
from app.model.registry import Pixels, ServedModel
from app.settings import CHECKOUT, Settings, read_settings


class Load(NamedTuple):
    """What a number of connections got out of the service."""

    images_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    mean_batch: float


def main() -> None:
    arguments = parse_arguments()
    os.environ["VGG_MODEL"] = arguments.model
    os.environ.setdefault("VGG_MODELS", arguments.model)
    os.environ.setdefault("VGG_MAX_QUEUE_DELAY_S", "600")  # measure what it can do, not what it refuses
    settings = read_settings()
    uploads = read_uploads(arguments.images)
    print(f"{len(uploads)} images, {sum(map(len, uploads)) / len(uploads) / 1000:.0f} kB on average")
    model = load_model(arguments.model, settings)
    pictures = [decode(data, settings.max_pixels).image for data in uploads]
    pixels = np.stack([preprocess(picture, model.manifest.preprocessing) for picture in pictures])
    bare: dict[int, list[float]] = {size: [] for size in sorted({1, model.max_batch_size})}
    served: dict[int, list[Load]] = {connections: [] for connections in arguments.connections}
    with running_service(settings) as (url, process, ready_s):
        print(f"ready after {ready_s:.1f} s; {memory(process.pid)}")
        for _ in range(arguments.rounds):
            for size, speeds in bare.items():
                speeds.append(bare_loop(model, pixels, size, arguments.seconds))
            for connections, loads in served.items():
                loads.append(asyncio.run(closed_loop(url, uploads, connections, arguments.seconds)))
        print(f"after the load: {memory(process.pid)}")
    report(bare, served)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vgg16", help="a prepared model (%(default)s)")
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: two that scikit-image ships)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16], help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are printed (%(default)s)")
    return parser.parse_args()


def read_uploads(folder: Path | None) -> list[bytes]:
    if folder is not None:
        return [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    from PIL import Image  # noqa: PLC0415 - a development dependency, for this default only
    from skimage import data  # noqa: PLC0415

    uploads = []
    for name in ("chelsea", "coffee"):
        buffer = io.BytesIO()
        Image.fromarray(getattr(data, name)()).resize((500, 375)).save(buffer, "JPEG", quality=95)
        uploads.append(buffer.getvalue())
    return uploads


def bare_loop(model: ServedModel, pixels: Pixels, size: int, seconds: float) -> float:
    """Images per second of the network alone, fed from memory."""
    batches = itertools.cycle([np.resize(pixels[at:], (size, *pixels.shape[1:])) for at in range(0, len(pixels), size)])
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        model.network.top_k(next(batches), 5)
        images += size
    return images / (time.perf_counter() - began)


async def closed_loop(url: str, uploads: list[bytes], connections: int, seconds: float) -> Load:
    """Each connection sends the next upload as soon as it has its answer."""
    latencies: list[float] = []
    batches: list[int] = []
    failed = 0
    queue = itertools.cycle(uploads)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        began = time.perf_counter()

        async def connection() -> None:
            nonlocal failed
            while time.perf_counter() - began < seconds:
                sent = time.perf_counter()
                response = await client.post("/predict", files={"file": ("x.jpg", next(queue))})
                if response.status_code == httpx.codes.OK:
                    latencies.append(time.perf_counter() - sent)
                    batches.append(response.json()["batch_size"])
                else:
                    failed += 1

        await asyncio.gather(*(connection() for _ in range(connections)))
        elapsed = time.perf_counter() - began
    ordered = sorted(latencies) or [float("nan")]
    return Load(
        len(latencies) / elapsed,
        1000 * statistics.median(ordered),
        1000 * ordered[int(0.99 * (len(ordered) - 1))],
        failed,
        statistics.mean(batches) if batches else 0,
    )


@contextmanager
def running_service(settings: Settings) -> Iterator[tuple[str, "subprocess.Popen[bytes]", float]]:
    """The service as a process of its own: its address, the process, and the seconds it took to be ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"VGG_PORT": str(port), "VGG_LOG_LEVEL": "warning", "VGG_DRAIN_DELAY_S": "0"}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "app"], cwd=CHECKOUT, env=environment)
    try:
        while not is_ready(url):
            if process.poll() is not None:
                sys.exit("The service did not start; its last words are above.")
            time.sleep(0.05)
        yield url, process, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(settings.drain_timeout_s + 10)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def memory(pid: int) -> str:
    """Resident memory of a process, where the system tells: in all, and without the pages of mapped files."""
    path = Path(f"/proc/{pid}/smaps_rollup")
    if not path.exists():
        return "memory: not known on this system"
    lines = [line.split() for line in path.read_text().splitlines()[1:]]
    kib = {line[0].rstrip(":"): int(line[1]) for line in lines}
    return f"resident {kib['Rss'] // 1024} MiB, of it {kib['Anonymous'] // 1024} MiB not shared with files"


def report(bare: dict[int, list[float]], served: dict[int, list[Load]]) -> None:
    medians = {size: statistics.median(speeds) for size, speeds in bare.items()}
    best = max(medians, key=lambda size: medians[size])
    for size, speed in medians.items():
        print(f"bare network, batches of {size}: {speed:.2f} images/s")
    for connections, loads in served.items():
        ratio = statistics.median(load.images_per_s / speed for load, speed in zip(loads, bare[best], strict=True))
        middle = sorted(loads)[len(loads) // 2]
        print(
            f"service, {connections} connections: {middle.images_per_s:.2f} images/s, {ratio:.2f} of the bare network; "
            f"p50 {middle.p50_ms:.0f} ms, p99 {middle.p99_ms:.0f} ms, mean batch {middle.mean_batch:.1f}, "
            f"{sum(load.failed for load in loads)} failed"
        )


if __name__ == "__main__":
    main()
