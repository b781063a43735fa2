"""The command behind ``scripts/check-gpu``."""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import torch
from tqdm import tqdm

from app.errors import ModelError
from app.model.memory import give_back
from app.model.network import resolve_device
from tests.system.gpu.bench import Bench, fill
from tests.system.gpu.checks import batches, decoding, device, ending, memory, precision, preparation, speed, training
from tests.system.gpu.findings import Finding, Format, Report
from tests.system.load.uploads import read_jpegs

NO_DEVICE = 2
INTERRUPTED = 130
# In this order: what is measured is measured with what preparation has found.
CHECKS: Mapping[str, Callable[[Bench], Iterator[Finding]]] = {
    "device": device.check,
    "precision": precision.check,
    "memory": memory.check,
    "preparation": preparation.check,
    "batches": batches.check,
    "ending": ending.check,
    "speed": speed.check,
    "training": training.check,
    "decoding": decoding.check,
}
TEXT = """
Check everything of the service that only a device can show, and print what was found: a row for each finding while it
runs, the whole at the end as a table, Markdown or JSON. Takes less than ten minutes, and the device for itself.

    scripts/check-gpu                         on the first GPU, with the model that is served
    scripts/check-gpu --format json           for machines: standard output has the report and nothing else
    scripts/check-gpu --device cpu            what of it a processor can run
    docker compose run --rm check-gpu         the same in its image

Exit status: 0 everything passed, 1 something failed, 2 there is no device that can be used, or wrong usage.
"""


def main(arguments: list[str] | None = None) -> int:
    given = parse_arguments(arguments)
    logging.disable(logging.WARNING)  # full memory and the like are what is looked for
    began = time.perf_counter()
    try:
        resolve_device(given.device)
        with tempfile.TemporaryDirectory(prefix="check-gpu-") as folder:
            bench = make_bench(given, Path(folder))
            findings = list(run(bench, given.only or list(CHECKS)))
    except ModelError as error:
        print(f"scripts/check-gpu: {' '.join(str(error).split())}", file=sys.stderr)
        return NO_DEVICE
    except KeyboardInterrupt:
        return INTERRUPTED
    report = Report(about(bench, time.perf_counter() - began), findings)
    print(report.text(given.format))
    return 0 if report.passed else 1


def make_bench(given: argparse.Namespace, store: Path) -> Bench:
    jpegs = read_jpegs(None)
    few = jpegs if given.device != "cpu" else jpegs[::8]
    model = fill(store, given.model)
    return Bench(given.device, model, store, few, given.seconds, given.connections, given.fronts)


def run(bench: Bench, names: list[str]) -> Iterator[Finding]:
    """What was found, told on standard error as it comes. A check that breaks has failed; the others go on."""
    for name in CHECKS:
        if name not in names:
            continue
        print(f"{name} …", file=sys.stderr)
        for finding in _whatever_happens(name, bench):
            tqdm.write(finding.row(), file=sys.stderr)
            yield finding
        give_back()  # the service is another process


def _whatever_happens(name: str, bench: Bench) -> Iterator[Finding]:
    try:
        yield from CHECKS[name](bench)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a device does is not known before it does it
        yield Finding(name, "the check itself", "fail", f"{type(error).__name__}: {' '.join(str(error).split())}")


def about(bench: Bench, seconds: float) -> dict[str, str]:
    hardware = torch.cuda.get_device_name(bench.torch_device) if bench.is_cuda else "no device"
    return {
        "checked": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, in {seconds:.0f} s",
        "device": f"{bench.device} ({hardware})",
        "model": bench.model,
        "versions": f"vgg16-service {version('vgg16-service')}, torch {torch.__version__}, CUDA {torch.version.cuda}",
    }


def parse_arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="check-gpu", description=TEXT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda", type=_device, help="cuda, cuda:N, or cpu (default: %(default)s)")
    model = "a prepared model (default: VGG_MODEL, or the embedded one where that is not prepared)"
    add("--model", help=model)
    add("--only", nargs="+", choices=CHECKS, metavar="CHECK", help=f"of these: {', '.join(CHECKS)} (default: all)")
    add("--seconds", type=float, default=3, help="how long each load lasts (default: %(default)s)")
    add("--connections", type=int, nargs="+", default=[1, 16, 64, 256], help="(default: %(default)s)")
    add("--fronts", type=int, nargs="+", default=[1, 2, 4], help="values of VGG_FRONTS (default: %(default)s)")
    add("--format", choices=get_args(Format), default="table", help="of the report (default: %(default)s)")
    return parser.parse_args(given)


def _device(text: str) -> str:
    if text not in ("cpu", "cuda") and not text.removeprefix("cuda:").isdecimal():
        raise argparse.ArgumentTypeError("must be cpu, cuda or cuda:N")
    return text
