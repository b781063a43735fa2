"""The command behind ``scripts/benchmark.py``."""

import argparse
import os
import sys
from pathlib import Path

from app.errors import ModelError
from app.model.library import Library
from app.settings import read_settings
from tests.system.load.benchmarks.evaluations import measure_evaluations
from tests.system.load.benchmarks.large import measure_large_photographs
from tests.system.load.benchmarks.network import measure_network
from tests.system.load.benchmarks.overload import compare_overload, measure_overload
from tests.system.load.benchmarks.precision import measure_precisions
from tests.system.load.benchmarks.service import measure_service
from tests.system.load.benchmarks.views import measure_views
from tests.system.load.servers import SIMULATED, require_installed
from tests.system.load.uploads import read_jpegs

AGAINST = "other servers (default: none)"
MODEL = "a prepared model (default: %(default)s)"
CONNECTIONS = "how many at once, measured one after the other (default: %(default)s)"
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
        if given.benchmark == "evaluations":
            measure_evaluations(given.data, given.model, given.evaluations)
            return 0
        jpegs = read_jpegs(given.images)
        kilobytes = sum(map(len, jpegs)) / len(jpegs) / 1000
        print(f"{len(jpegs)} photographs, {kilobytes:.0f} kB on average, {os.cpu_count()} cores")
        _measure(given, jpegs)
    except (ModelError, OSError) as error:
        print(f"scripts/benchmark.py: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(given: argparse.Namespace, jpegs: list[bytes]) -> None:
    match given.benchmark:
        case "network":
            measure_network(given.model, jpegs, given.connections, given.seconds, given.rounds)
        case "service":
            measure_service(["ours", *given.against], jpegs, given.connections, given.seconds, given.rounds)
        case "overload" if given.against:
            compare_overload(["ours", *given.against], jpegs, given.seconds, given.deadline)
        case "overload":
            measure_overload(jpegs, given.seconds, given.deadline)
        case "large":
            measure_large_photographs(given.model, jpegs)
        case "views":
            measure_views(given.model, jpegs, given.connections, given.seconds, given.rounds)
        case "precision":
            measure_precisions(given.model, jpegs, given.rounds)


def parse_arguments(text: str, given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = argparse.ArgumentParser(add_help=False)
    jpegs = "a folder of JPEGs (default: parts of the photographs in scikit-image)"
    images.add_argument("--images", type=Path, metavar="DIR", help=jpegs)
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)

    network = benchmarks.add_parser("network", parents=[images], help="the service beside the bare network's loop")
    network.add_argument("--model", default="vgg16", help=MODEL)
    network.add_argument("--connections", type=int, nargs="+", default=[1, 8, 16], help=CONNECTIONS)
    network.add_argument("--seconds", type=float, default=8, help=SECONDS)
    network.add_argument("--rounds", type=int, default=3, help=ROUNDS)

    service = benchmarks.add_parser("service", parents=[images], help="what the service itself costs")
    others = sorted(set(SIMULATED) - {"ours"})
    service.add_argument("--against", choices=others, nargs="+", default=[], help=AGAINST)
    service.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64], help=CONNECTIONS)
    service.add_argument("--seconds", type=float, default=8, help=SECONDS)
    service.add_argument("--rounds", type=int, default=3, help=ROUNDS)

    overload = benchmarks.add_parser("overload", parents=[images], help="three times more requests than it can answer")
    overload.add_argument("--against", choices=others, nargs="+", default=[], help=AGAINST)
    overload.add_argument("--deadline", type=float, default=5, help="seconds for each request (default: %(default)s)")
    overload.add_argument("--seconds", type=float, default=60, help="how long it lasts (default: %(default)s)")

    large = benchmarks.add_parser("large", parents=[images], help="photographs of 12 megapixels, without a server")
    large.add_argument("--model", default="vgg16", help=MODEL)

    views = benchmarks.add_parser("views", parents=[images], help="single requests beside one of 150 views")
    views.add_argument("--model", default="vgg16", help=MODEL)
    views.add_argument("--connections", type=int, nargs="+", default=[1, 4], help=CONNECTIONS)
    views.add_argument("--seconds", type=float, default=8, help=SECONDS)
    views.add_argument("--rounds", type=int, default=3, help=ROUNDS)

    evaluations = benchmarks.add_parser("evaluations", help="ways of looking beside a single crop, without a server")
    evaluations.add_argument("--model", default="vgg16", help=MODEL)
    folder = "labelled photographs, as scripts/evaluate.py takes them"
    evaluations.add_argument("--data", type=Path, required=True, metavar="DIR", help=folder)
    named = "such as dense, multi_crop:5x5 or dense:256,384,512 (default: %(default)s)"
    evaluations.add_argument("--evaluations", nargs="+", default=["multi_crop"], metavar="EVALUATION", help=named)

    precision = benchmarks.add_parser("precision", parents=[images], help="lower precisions, without a server")
    precision.add_argument("--model", default="vgg16", help=MODEL)
    precision.add_argument("--rounds", type=int, default=10, help=ROUNDS)
    return parser.parse_args(given)
