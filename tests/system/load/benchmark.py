"""The command behind ``scripts/benchmark.py``."""

import argparse
import asyncio
import itertools
import os
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.load import load_model
from app.model.registry import ServedModel
from app.settings import read_settings
from tests.system.load.client import Outcome, closed_loop, open_loop
from tests.system.load.large import measure_large_photographs
from tests.system.load.precision import measure_precisions
from tests.system.load.servers import SIMULATED, RunningServer, start_service, start_simulated
from tests.system.load.simulated import FIXED_MS, PER_IMAGE_MS, SimulatedNetwork
from tests.system.load.uploads import Upload, plain_loop, read_jpegs, with_answers

MEASURE_ALL = {"VGG_MAX_QUEUE_DELAY_S": "600", "VGG_REQUEST_TIMEOUT_S": "600"}  # what it can do, not what it refuses
OVERLOAD_FIXED_MS, OVERLOAD_PER_IMAGE_MS = 20.0, 5.0


def main(text: str) -> int:
    arguments = parse_arguments(text)
    jpegs = read_jpegs(arguments.images)
    kilobytes = sum(map(len, jpegs)) / len(jpegs) / 1000
    print(f"{len(jpegs)} photographs, {kilobytes:.0f} kB on average, {os.cpu_count()} cores")
    arguments.measure(arguments, jpegs)
    return 0


def parse_arguments(text: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = argparse.ArgumentParser(add_help=False)
    images.add_argument("--images", type=Path, help="a folder of JPEGs (default: parts of what scikit-image ships)")
    commands = parser.add_subparsers(required=True, metavar="network | service | overload | large | precision")
    model, seconds = "a prepared model (%(default)s)", "of each measurement (%(default)s)"
    rounds = "interleaved rounds; medians are printed (%(default)s)"

    network = commands.add_parser("network", parents=[images], help="the service beside the bare network")
    network.add_argument("--model", default="vgg16", help=model)
    network.add_argument("--connections", type=int, nargs="+", default=[1, 8, 16], help="(%(default)s)")
    network.add_argument("--seconds", type=float, default=8, help=seconds)
    network.add_argument("--rounds", type=int, default=3, help=rounds)
    network.set_defaults(measure=measure_network)

    service = commands.add_parser("service", parents=[images], help="what the service itself costs")
    service.add_argument("--against", choices=sorted(set(SIMULATED) - {"ours"}), nargs="*", default=[])
    service.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], help="(%(default)s)")
    service.add_argument("--seconds", type=float, default=8, help=seconds)
    service.add_argument("--rounds", type=int, default=3, help=rounds)
    service.set_defaults(measure=measure_service)

    overload = commands.add_parser("overload", parents=[images], help="open loop, three times the capacity")
    overload.add_argument("--deadline", type=float, default=5, help="of each request, in seconds (%(default)s)")
    overload.add_argument("--seconds", type=float, default=60, help=seconds)
    overload.set_defaults(measure=measure_overload)

    large = commands.add_parser("large", parents=[images], help="photographs of 12 megapixels, without a server")
    large.add_argument("--model", default="vgg16", help=model)
    large.set_defaults(measure=lambda given, jpegs: measure_large_photographs(given.model, jpegs))

    precision = commands.add_parser(
        "precision", parents=[images], help="lower precisions beside fp32, without a server"
    )
    precision.add_argument("--model", default="vgg16", help=model)
    precision.add_argument("--rounds", type=int, default=10, help=rounds)
    precision.set_defaults(measure=lambda given, jpegs: measure_precisions(given.model, jpegs, given.rounds))
    return parser.parse_args()


# Real arithmetic


def measure_network(arguments: argparse.Namespace, jpegs: list[bytes]) -> None:
    """The service's images per second over the bare network's, whose loop runs in this process between the loads."""
    os.environ |= {"VGG_MODEL": arguments.model, "VGG_MODELS": arguments.model}
    settings = read_settings()
    model = load_model(arguments.model, settings)
    reader, views = Reader(settings.max_pixels, exact=True), model.manifest.preprocessing.centre_crop()
    pixels = np.concatenate([reader.read(jpeg, views).pixels for jpeg in jpegs])
    uploads = [Upload(jpeg, top_class(model, picture)) for jpeg, picture in zip(jpegs, pixels, strict=True)]
    sizes = sorted({1, model.max_batch_size})
    bare: dict[int, list[float]] = {size: [] for size in sizes}
    served: dict[int, list[Outcome]] = {connections: [] for connections in arguments.connections}
    with start_service(**MEASURE_ALL) as server:
        print(f"ready after {server.ready_s:.1f} s; {describe_memory(server)}")
        for _ in range(arguments.rounds):
            for size in sizes:
                bare[size].append(bare_loop(model, pixels, size, arguments.seconds))
            for connections in arguments.connections:
                outcome = asyncio.run(closed_loop(server.port, uploads, connections, arguments.seconds))
                served[connections].append(outcome)
        print(f"after the load: {describe_memory(server)}")
    for size, speeds in bare.items():
        print(f"bare network, batches of {size}: {statistics.median(speeds):.2f} images/s")
    best = [max(speeds) for speeds in zip(*bare.values(), strict=True)]
    for connections, outcomes in served.items():
        ratio = statistics.median(o.per_second / b for o, b in zip(outcomes, best, strict=True))
        print(f"service, {connections} connections: {ratio:.2f} of the bare network; {describe(outcomes)}")


def top_class(model: ServedModel, pixels: Pixels) -> int:
    indices, _ = model.network.top_k(pixels[None], 1)
    return int(indices[0, 0])


def bare_loop(model: ServedModel, pixels: Pixels, size: int, seconds: float) -> float:
    """Images per second of the network alone, fed from memory."""
    batches = itertools.cycle([np.resize(pixels[at:], (size, *pixels.shape[1:])) for at in range(0, len(pixels), size)])
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        model.network.top_k(next(batches), 5)
        images += size
    return images / (time.perf_counter() - began)


# A simulated network


class Case(NamedTuple):
    """One measurement of one server."""

    server: str
    connections: int
    raw: bool


def measure_service(arguments: argparse.Namespace, jpegs: list[bytes]) -> None:
    """Throughput and CPU per image over the plain loop's; all servers take turns with it, round by round."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    names = ["ours", *arguments.against]
    cases = [Case(name, connections, raw=False) for name in names for connections in arguments.connections]
    cases += [Case("ours", connections, raw=True) for connections in arguments.connections]
    outcomes: dict[Case, list[Outcome]] = {case: [] for case in cases}
    cpu: dict[Case, list[float]] = {case: [] for case in cases}
    plain: list[float] = []
    for _ in range(arguments.rounds):
        for name in names:
            plain.append(plain_loop([upload.jpeg for upload in uploads], 3))
            with start_simulated(name, FIXED_MS, PER_IMAGE_MS, VGG_MAX_BATCH_SIZE="16", **MEASURE_ALL) as server:
                asyncio.run(closed_loop(server.port, uploads, 16, 2))
                for case in (case for case in cases if case.server == name):
                    before = server.cpu_s()
                    outcome = asyncio.run(
                        closed_loop(server.port, uploads, case.connections, arguments.seconds, raw=case.raw)
                    )
                    outcomes[case].append(outcome)
                    cpu[case].append((server.cpu_s() - before) / max(1, len(outcome.latencies)))
    base = statistics.median(plain)
    print(f"plain loop: {1000 * base:.2f} ms of CPU per image, {1 / base:.0f} images/s on a core")
    for case in cases:
        cost = statistics.median(cpu[case])
        speed = statistics.median(outcome.per_second for outcome in outcomes[case])
        print(
            f"{case.server}, {case.connections} connections, {'raw' if case.raw else 'multipart'}: "
            f"{speed * base:.2f} x the plain loop's images/s, {cost / base:.2f} x its CPU ({1000 * cost:.2f} ms); "
            f"{describe(outcomes[case])}"
        )


# Overload


def measure_overload(arguments: argparse.Namespace, jpegs: list[bytes]) -> None:
    """Goodput under three times the capacity, then how fast normal traffic is back."""
    uploads = with_answers(jpegs, SimulatedNetwork())
    capacity = 16 / (OVERLOAD_FIXED_MS + OVERLOAD_PER_IMAGE_MS * 16) * 1000
    with start_simulated("ours", OVERLOAD_FIXED_MS, OVERLOAD_PER_IMAGE_MS, VGG_MAX_BATCH_SIZE="16") as server:
        asyncio.run(closed_loop(server.port, uploads, 16, 3))
        idle = server.resident_mib()
        # A full queue holds uploads; what it takes is bounded by the settings. What must not grow is that, over time.
        asyncio.run(open_loop(server.port, uploads, 3 * capacity, 5, arguments.deadline))
        full = server.resident_mib()
        normal = asyncio.run(open_loop(server.port, uploads, 0.3 * capacity, 5, arguments.deadline))
        loaded = asyncio.run(open_loop(server.port, uploads, 3 * capacity, arguments.seconds, arguments.deadline))
        after = server.resident_mib()
        recovered = asyncio.run(open_loop(server.port, uploads, 0.3 * capacity, 2, arguments.deadline))
        settled = asyncio.run(open_loop(server.port, uploads, 0.3 * capacity, 5, arguments.deadline))
    print(f"the network's capacity: {capacity:.0f} images/s, in batches of 16")
    goodput = loaded.per_second / capacity
    print(f"3 x overload for {arguments.seconds:g} s: goodput {goodput:.2f} of capacity; {describe([loaded])}")
    for name, outcome in (("before", normal), ("in the 2 s after", recovered), ("then", settled)):
        print(f"0.3 x capacity, {name}: {describe([outcome])}")
    print(f"resident memory: {idle:.0f} MiB before, {full:.0f} MiB after 5 s, ", end="")
    print(f"{after:.0f} MiB after {arguments.seconds:g} s more ({after / full - 1:+.0%})")


def describe(outcomes: list[Outcome]) -> str:
    middle = sorted(outcomes, key=lambda outcome: outcome.per_second)[len(outcomes) // 2]
    parts = [
        f"{middle.per_second:.1f} images/s",
        f"p50 {middle.percentile_ms(50):.1f} ms, p99 {middle.percentile_ms(99):.1f} ms",
    ]
    if middle.batch_sizes:
        added = statistics.median(middle.server_added)
        parts.append(f"mean batch {middle.mean_batch:.1f}, {added:.2f} ms beside decode, preprocess and forward")
    statuses = sum((outcome.statuses for outcome in outcomes), start=outcomes[0].statuses.__class__())
    parts.append(", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())))
    wrong = sum(outcome.wrong for outcome in outcomes)
    return "; ".join(parts) + (f"; {wrong} WRONG ANSWERS" if wrong else "")


def describe_memory(server: RunningServer) -> str:
    return f"resident {server.resident_mib():.0f} MiB, of it {server.private_mib():.0f} MiB not shared with files"
