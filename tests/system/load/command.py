"""The command behind ``scripts/benchmark.py``."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from app.errors import ModelError
from app.model.library import Library
from app.settings import read_settings
from tests.system.load.benchmarks.ceiling import measure_ceiling
from tests.system.load.benchmarks.engines import measure_engines, measure_served
from tests.system.load.benchmarks.evaluations import measure_evaluations
from tests.system.load.benchmarks.large import measure_large_photographs
from tests.system.load.benchmarks.network import measure_network
from tests.system.load.benchmarks.overload import compare_overload, measure_overload
from tests.system.load.benchmarks.precision import measure_precisions
from tests.system.load.benchmarks.profiles import measure_profiles
from tests.system.load.benchmarks.service import measure_service
from tests.system.load.benchmarks.views import measure_views
from tests.system.load.servers import SIMULATED, Contender, require_installed
from tests.system.load.uploads import read_jpegs

AGAINST = "other servers (default: none)"
Measure = Callable[[argparse.Namespace, list[bytes]], None]
MODEL = "a prepared model (default: %(default)s)"
CONNECTIONS = "how many at once, measured one after the other (default: %(default)s)"
FRONTS = "ours with so many, measured one after the other (default: %(default)s; empty: what VGG_FRONTS is)"
SECONDS = "how long each measurement takes (default: %(default)s)"
ROUNDS = "how often everything is measured, in turns; medians are printed (default: %(default)s)"


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    given = parse_arguments(text, arguments)
    try:
        if "model" in given:
            library = Library.from_settings(read_settings())
            library.manifest(given.model)
            library.require_prepared(given.model)
        require_installed(given.against if "against" in given else ())
        jpegs = read_jpegs(given.images) if "images" in given else []
        if jpegs:
            kilobytes = sum(map(len, jpegs)) / len(jpegs) / 1000
            about = f"{len(jpegs)} photographs, {kilobytes:.0f} kB on average, {os.cpu_count()} cores"
            print(about, file=sys.stderr if "json" in given and given.json else sys.stdout)
        given.measure(given, jpegs)
    except (ModelError, OSError) as error:
        print(f"scripts/benchmark.py: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = argparse.ArgumentParser(add_help=False)
    jpegs = "a folder of JPEGs (default: parts of the photographs in scikit-image)"
    images.add_argument("--images", type=Path, metavar="DIR", help=jpegs)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)

    def add(name: str, text: str, measure: Measure, rounds: int | None = None) -> argparse.ArgumentParser:
        benchmark = benchmarks.add_parser(name, parents=[images] if measure is not _evaluations else [], help=text)
        benchmark.set_defaults(measure=measure)
        if rounds is not None:
            benchmark.add_argument("--rounds", type=int, default=rounds, help=ROUNDS)
        return benchmark

    network = add("network", "the service beside the bare network's loop", _network, rounds=3)
    service = add("service", "what the service itself costs", _service, rounds=3)
    ceiling = add("ceiling", "small pictures and fast devices: what limits it", _ceiling, rounds=3)
    overload = add("overload", "three times more requests than it can answer", _overload)
    large = add("large", "photographs of 12 megapixels, without a server", _large)
    add("profiles", "colour profiles, without a server", _profiles, rounds=5)
    engines = add("engines", "who computes a VGG's convolutions on the CPU", _engines, rounds=5)
    precision = add("precision", "lower precisions, without a server", _precision, rounds=10)
    views = add("views", "single requests beside one of 150 views", _views, rounds=3)
    evaluations = add("evaluations", "ways of looking beside a single crop, without a server", _evaluations)

    for benchmark in (network, large, engines, precision, views, evaluations):
        benchmark.add_argument("--model", default="vgg16", help=MODEL)
    for benchmark, connections in ((network, [1, 8, 16]), (service, [1, 16, 64]), (views, [1, 4])):
        benchmark.add_argument("--connections", type=int, nargs="+", default=connections, help=CONNECTIONS)
    for benchmark, fronts in ((service, []), (ceiling, [0, 1, 2])):
        benchmark.add_argument("--fronts", type=int, nargs="+", default=fronts, help=FRONTS)
    for benchmark, seconds in ((network, 8), (service, 8), (ceiling, 4), (overload, 60), (views, 8)):
        benchmark.add_argument("--seconds", type=float, default=seconds, help=SECONDS)
    for benchmark in (service, overload):
        others = sorted(set(SIMULATED) - {"ours"})
        benchmark.add_argument("--against", choices=others, nargs="+", default=[], help=AGAINST)
    overload.add_argument("--deadline", type=float, default=5, help="seconds for each request (default: %(default)s)")
    output = engines.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a list of objects")
    output.add_argument("--service", action="store_true", help="and through the service, with every answer compared")
    folder = "labelled photographs, as scripts/evaluate.py takes them"
    evaluations.add_argument("--data", type=Path, required=True, metavar="DIR", help=folder)
    named = "such as dense, multi_crop:5x5 or dense:256,384,512 (default: %(default)s)"
    evaluations.add_argument("--evaluations", nargs="+", default=["multi_crop"], metavar="EVALUATION", help=named)
    return parser.parse_args(given)


def _network(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_network(given.model, jpegs, given.connections, given.seconds, given.rounds)


def _service(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    servers = [*(Contender("ours", count) for count in given.fronts or [None]), *map(Contender, given.against)]
    measure_service(servers, jpegs, given.connections, given.seconds, given.rounds)


def _ceiling(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_ceiling(jpegs, given.fronts, given.seconds, given.rounds)


def _overload(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    if given.against:
        compare_overload(["ours", *given.against], jpegs, given.seconds, given.deadline)
    else:
        measure_overload(jpegs, given.seconds, given.deadline)


def _large(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_large_photographs(given.model, jpegs)


def _profiles(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_profiles(jpegs, given.rounds)


def _engines(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_engines(given.model, jpegs, given.rounds, as_json=given.json)
    if given.service:
        measure_served(given.model, jpegs, min(given.rounds, 3))


def _precision(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_precisions(given.model, jpegs, given.rounds)


def _views(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    measure_views(given.model, jpegs, given.connections, given.seconds, given.rounds)


def _evaluations(given: argparse.Namespace, _: list[bytes]) -> None:
    measure_evaluations(given.data, given.model, given.evaluations)
