"""The engines of a processor side by side: time, memory, and how far their answers lie from eager's."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from app.image.reader import Reader
from app.image.views import Pixels
from app.model.engines import Engine, engines_for, is_installed
from app.model.library import Library
from app.model.load import load_model
from app.model.registry import LoadedModel
from app.settings import CHECKOUT, Settings, read_settings
from tests.system.load.bar import steps_bar
from tests.system.load.benchmarks.large import probabilities
from tests.system.load.benchmarks.network import top_class
from tests.system.load.benchmarks.precision import all_probabilities, compare
from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome
from tests.system.load.servers import MEASURE_ALL, start_service
from tests.system.load.uploads import Upload

SIZES, THREADS = (1, 2, 4, 8), (1, 2)
PICTURES = 8
CONNECTIONS = (1, 8)
SERVED_S = 8.0

Models = Mapping[Engine, LoadedModel]


class Row(TypedDict):
    """One engine at one batch size on so many threads; ``largest_difference`` is of a probability, from eager's."""

    engine: Engine
    batch_size: int
    threads: int
    ms: float
    ratio_to_eager: float
    largest_difference: float
    resident_mb: float


def measure_engines(model_name: str, jpegs: list[bytes], rounds: int, *, as_json: bool) -> None:
    """The bare network in batches fed from memory, on one thread and on two; engines take turns."""
    settings = read_settings()
    threads_before = torch.get_num_threads()
    rows: list[Row] = []
    if not as_json:
        print(processor(), flush=True)
    with steps_bar(len(THREADS) * len(SIZES) * (rounds + 1), "round") as bar:
        for threads in THREADS:
            torch.set_num_threads(threads)
            models = load_engines(model_name, settings)
            memory = {engine: resident_mb(model_name, engine, threads) for engine in models}
            pixels = read_pixels(models["eager"], jpegs[:PICTURES], settings)
            for size in SIZES:
                times, apart = time_batches(models, pixels, size, rounds, bar.update)
                found = [
                    Row(
                        engine=engine,
                        batch_size=size,
                        threads=threads,
                        ms=round(1000 * times[engine], 2),
                        ratio_to_eager=round(times["eager"] / times[engine], 3),
                        largest_difference=apart[engine],
                        resident_mb=memory[engine][size],
                    )
                    for engine in models
                ]
                rows += found
                if not as_json:
                    print(*map(in_words, found), sep="\n", flush=True)
    torch.set_num_threads(threads_before)
    if as_json:
        print(json.dumps(rows, indent=1))


def load_engines(model_name: str, settings: Settings) -> Models:
    """The model in each engine that is installed and passes the gate."""
    models: dict[Engine, LoadedModel] = {}
    architecture = Library.from_settings(settings).manifest(model_name).architecture
    for engine in filter(is_installed, engines_for(architecture, torch.device("cpu"), "fp32")):
        changes = {"device": "cpu", "precision": "fp32", "cpu_engine": engine, "max_batch_size": max(SIZES)}
        model = load_model(model_name, settings.model_copy(update=changes))
        if model.engine == engine:
            models[engine] = model
    return models


def read_pixels(model: LoadedModel, jpegs: Sequence[bytes], settings: Settings) -> Pixels:
    reader, views = Reader(settings.max_pixels, exact=True), model.manifest.preprocessing.centre_crop()
    return np.concatenate([reader.read(jpeg, views).pixels for jpeg in jpegs])


def time_batches(
    models: Models, pixels: Pixels, size: int, rounds: int, progress: Callable[[], object]
) -> tuple[dict[Engine, float], dict[Engine, float]]:
    """Median seconds of a batch, and the largest difference of a probability, by engine."""
    seconds: dict[Engine, list[float]] = {engine: [] for engine in models}
    apart: dict[Engine, float] = dict.fromkeys(models, 0.0)
    for turn in range(rounds + 1):  # the first one warms up, and is compared
        batch = np.resize(np.roll(pixels, -turn, axis=0), (size, *pixels.shape[1:]))
        exact = probabilities(models["eager"], batch) if turn == 0 else None
        for engine, model in models.items():
            if exact is not None:
                apart[engine] = float(np.abs(probabilities(model, batch) - exact).max())
                continue
            began = time.perf_counter()
            model.network.top_k(batch, 5)
            seconds[engine].append(time.perf_counter() - began)
        progress()
    return {engine: statistics.median(times) for engine, times in seconds.items()}, apart


def resident_mb(model_name: str, engine: Engine, threads: int) -> dict[int, float]:
    """What a process of its own holds in memory, after batches of each size; with all engines here nothing is seen."""
    command = [sys.executable, "-m", "tests.system.load.resident", model_name, *map(str, SIZES)]
    changes = {"VGG_DEVICE": "cpu", "VGG_PRECISION": "fp32", "VGG_CPU_ENGINE": engine, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | changes, capture_output=True, text=True, check=True)
    return {size: float(line) for size, line in zip(SIZES, done.stdout.split(), strict=True)}


def in_words(row: Row) -> str:
    return (
        f"{row['threads']} threads, batches of {row['batch_size']}, {row['engine']}: {row['ms']:.1f} ms, "
        f"{row['ratio_to_eager']:.2f} x eager's speed, largest difference of a probability "
        f"{row['largest_difference']:.1e}, {row['resident_mb']:.0f} MB of memory"
    )


def processor() -> str:
    """Its name and the instructions that torch uses."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else "unknown processor"
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def measure_served(model_name: str, jpegs: list[bytes], rounds: int) -> None:
    """The service with each engine in turns, on all cores, and whether the engines answer alike on all photographs."""
    settings = read_settings()
    models = load_engines(model_name, settings)
    pixels = read_pixels(models["eager"], jpegs, settings)
    uploads = [Upload(jpeg, top_class(models["eager"], one)) for jpeg, one in zip(jpegs, pixels, strict=True)]
    served: dict[tuple[Engine, int], list[Outcome]] = {}
    common = {"VGG_MODEL": model_name, "VGG_MODELS": model_name, "VGG_DEVICE": "cpu", "VGG_PRECISION": "fp32"}
    with steps_bar(rounds * len(models) * len(CONNECTIONS), "measurement") as bar:
        for engine in (engine for _ in range(rounds) for engine in models):
            with start_service(**MEASURE_ALL, **common, VGG_CPU_ENGINE=engine) as server:
                for count in CONNECTIONS:
                    outcome = asyncio.run(closed_loop(server.port, uploads, count, SERVED_S))
                    served.setdefault((engine, count), []).append(outcome)
                    bar.update()
    speeds = {case: statistics.median(outcome.per_second for outcome in outcomes) for case, outcomes in served.items()}
    for (engine, count), speed in speeds.items():
        wrong = sum(outcome.wrong for outcome in served[engine, count])
        ratio = speed / speeds["eager", count]
        print(f"service, {count} connections, {engine}: {ratio:.2f} x eager's images/s ({speed:.2f}), {wrong} wrong")
    exact = all_probabilities(models["eager"], pixels)
    for engine, model in models.items():
        if engine != "eager":
            print(f"{engine} against eager: {compare(exact, all_probabilities(model, pixels))}")
