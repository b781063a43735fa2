"""How batches are best run on a CUDA device: measured once, kept in the receipt. Elsewhere there is one way."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.errors import BatchTooLarge
from app.image.views import Pixels
from app.model.files import write_atomically
from app.model.library import Library
from app.model.manifest import Manifest
from app.model.network import (
    UNMEASURED_BATCH_SIZE,
    TorchNetwork,
    build_network,
    device_kind,
    resolve_device,
    resolve_precision,
)
from app.model.receipt import LaunchChoice
from app.model.sharing import read_weights, shared_tensors
from app.settings import Settings

PLAIN = LaunchChoice()
CHOICES = (
    PLAIN,
    LaunchChoice(way="plain", in_flight=2),
    LaunchChoice(way="pinned", in_flight=1),
    LaunchChoice(way="pinned", in_flight=2),
    LaunchChoice(way="graphs", in_flight=1),
    LaunchChoice(way="graphs", in_flight=2),
)
TURNS, BATCHES = 4, 16
GAIN = 1.05  # less than that is not worth another way
EQUAL = 1e-3  # of a probability; kernels that another order of additions was chosen for differ by less
PATIENCE_S = 60.0


def has_choice(settings: Settings) -> bool:
    """Whether there is more than one way on the device that the settings choose."""
    return resolve_device(settings.device).type == "cuda"


def is_measured(manifest: Manifest, settings: Settings) -> bool:
    """Whether the best way is known for the device that the settings choose."""
    device = resolve_device(settings.device)
    kind = device_kind(device, resolve_precision(settings.precision, device))
    return kind in Library.from_settings(settings).store(manifest.name).read_receipt().best_launch


def measure_launch(manifest: Manifest, settings: Settings, say: Callable[[str], None]) -> LaunchChoice:
    """Find the best way at the best batch size, and add it to the receipt."""
    library = Library.from_settings(settings)
    store, classes = library.store(manifest.name), len(library.labels(manifest))
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    kind, files = device_kind(device, precision), read_weights(library, manifest)
    tensors = shared_tensors(files, device, precision)

    def build(choice: LaunchChoice) -> TorchNetwork:
        return build_network(manifest, tensors, classes, device, precision, way=choice.way)

    size = store.read_receipt().best_batch_size.get(kind, UNMEASURED_BATCH_SIZE[device.type])
    with tqdm(desc="Measuring ways to run a batch", unit="turn", total=TURNS * len(CHOICES)) as bar:
        best, speeds, faults = best_launch(build, pictures(size, manifest.preprocessing.crop), classes, bar.update)
    table = ", ".join(f"{choice}: {speed:.1f}" for choice, speed in speeds.items())
    say(f"Images per second by way, in batches of {size} on {kind}: {table}; taking {best}.")
    for choice, fault in faults.items():
        say(f"{choice} is left out: {fault}")
    with store.locked(PATIENCE_S):  # and read again: another model may have taken the place while this one was measured
        receipt = store.read_receipt()
        write_atomically(store.receipt, receipt.model_copy(update={"best_launch": receipt.best_launch | {kind: best}}))
    return best


def best_launch(
    build: Callable[[LaunchChoice], TorchNetwork],
    batches: Sequence[Pixels],
    classes: int,
    progress: Callable[[], object] = lambda: None,
    choices: Sequence[LaunchChoice] = CHOICES,
) -> tuple[LaunchChoice, Mapping[LaunchChoice, float], Mapping[LaunchChoice, str]]:
    """What gains most over ``PLAIN``, the first of them; images a second of each; and why others are out of question.

    A way that fails, or answers otherwise than ``PLAIN``, is left out. They take turns; the best turn of each counts.
    """
    with ExitStack() as stack:
        trials = {choice: stack.enter_context(Trial(build(choice), choice)) for choice in choices}
        wanted = trials[PLAIN].answers(batches, classes)
        others = [(choice, trial) for choice, trial in trials.items() if choice != PLAIN]
        faults = {choice: fault for choice, trial in others if (fault := trial.fault(batches, classes, wanted))}
        good = [choice for choice in choices if choice not in faults]
        speeds = dict.fromkeys(good, 0.0)
        for choice in good * TURNS:
            speeds[choice] = max(speeds[choice], trials[choice].speed(batches))
            progress()
    best = max(speeds, key=speeds.__getitem__)
    return (best if speeds[best] >= GAIN * speeds[PLAIN] else PLAIN), speeds, faults


def pictures(size: int, crop: int) -> list[Pixels]:
    """Batches that differ, so that one which took another one's place is noticed."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, size, 8, 8, 3), dtype=np.uint8)
    side = -(-crop // 8)  # blobs, since all noise looks the same to a network
    return list(coarse.repeat(side, axis=2).repeat(side, axis=3)[:, :, :crop, :crop])


class Trial:
    """A network that is run as the batcher does: on as many threads as batches may be under way."""

    def __init__(self, network: TorchNetwork, choice: LaunchChoice) -> None:
        self._network = network
        self._threads = [ThreadPoolExecutor(1) for _ in range(choice.in_flight)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.shutdown()

    def answers(self, batches: Sequence[Pixels], classes: int) -> list[NDArray[np.float32]]:
        """Probabilities by class: of the second time, since the first one is when a graph is captured."""
        twice = self._run([*batches, *batches], classes)[len(batches) :]
        by_class = []
        for indices, values in twice:
            by_class.append(np.empty_like(values))
            np.put_along_axis(by_class[-1], indices, values, axis=1)
        return by_class

    def fault(self, batches: Sequence[Pixels], classes: int, wanted: Sequence[NDArray[np.float32]]) -> str | None:
        """What speaks against it, if anything does."""
        try:
            found = self.answers(batches, classes)
        except (RuntimeError, ArithmeticError, BatchTooLarge) as error:
            return f"it fails ({str(error).partition(chr(10))[0]})"
        apart = max(float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True))
        return None if apart <= EQUAL else f"it answers otherwise than {PLAIN}, a probability by {apart:.4f}"

    def speed(self, batches: Sequence[Pixels]) -> float:
        """Images per second."""
        many = list(islice(cycle(batches), BATCHES))
        began = perf_counter()
        self._run(many, 1)
        return sum(map(len, many)) / (perf_counter() - began)

    def _run(self, batches: Sequence[Pixels], k: int) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        threads = cycle(self._threads)
        begun = [next(threads).submit(self._network.top_k, batch, k) for batch in batches]
        return [one.result() for one in begun]
