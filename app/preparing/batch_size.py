"""Which batch size is worth its wait on this device: measured once, kept in the receipt."""

from collections.abc import Callable, Sequence

from tqdm import tqdm

from app.errors import BatchTooLarge, ModelError
from app.model.engine_choice import equip, wanted_engine
from app.model.engines import engines_for
from app.model.files import write_atomically
from app.model.library import Library
from app.model.manifest import Manifest
from app.model.network import (
    TorchNetwork,
    build_network,
    device_kind,
    resolve_device,
    resolve_precision,
    seconds_per_batch,
)
from app.model.receipt import Receipt
from app.model.sharing import read_weights
from app.settings import Settings

BATCH_SIZES = {"cpu": (1, 2, 4, 8, 16), "cuda": (1, 2, 4, 8, 16, 32, 64, 128)}
TURNS = 4
PATIENCE_S = 60.0


def is_measured(manifest: Manifest, settings: Settings) -> bool:
    """Whether the best batch size is known for the device that the settings choose, and for the engine there."""
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    receipt = Library.from_settings(settings).store(manifest.name).read_receipt()
    possible = engines_for(manifest.architecture, device, precision)
    engine = wanted_engine(settings.cpu_engine, [receipt], possible)
    return device_kind(device, precision, engine) in receipt.best_batch_size


def measure_batch_size(manifest: Manifest, settings: Settings, say: Callable[[str], None]) -> Receipt:
    """Find the best batch size on this device and add it to the receipt."""
    library = Library.from_settings(settings)
    store = library.store(manifest.name)
    classes = len(library.labels(manifest))
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)
    files = read_weights(library, manifest)
    network = build_network(manifest, files.joined(), classes, device, precision)
    engine = equip(network, manifest, files, settings.cpu_engine, precision)
    with tqdm(desc="Measuring batch sizes", unit="forward") as bar:
        best, speeds = best_batch_size(network, manifest.preprocessing.crop, BATCH_SIZES[device.type], bar.update)
    kind = device_kind(device, precision, engine)
    say(f"Images per second by batch size on {kind}: {_table(speeds)}; taking {best}.")
    with store.locked(PATIENCE_S):  # and read again: another model may have taken the place while this one was measured
        receipt = store.read_receipt()
        receipt = receipt.model_copy(update={"best_batch_size": receipt.best_batch_size | {kind: best}})
        write_atomically(store.receipt, receipt)
    return receipt


def best_batch_size(
    network: TorchNetwork, crop: int, sizes: Sequence[int], progress: Callable[[], object] = lambda: None
) -> tuple[int, dict[int, float]]:
    """The smallest size within 5% of the best throughput, and images a second by size.

    The sizes take turns, so that a machine that slows down for a while slows all of them; the best turn of each counts.
    Sizes from one that does not fit the device's memory on are left out.
    """
    fastest: dict[int, float] = {}
    fitting = list(sizes)
    for turn in range(TURNS):
        for size in fitting.copy():
            try:
                seconds = seconds_per_batch(network, crop, size)
            except BatchTooLarge:
                fitting = [smaller for smaller in fitting if smaller < size]
                break
            progress()
            if turn > 0:  # the first one warms up
                fastest[size] = min(seconds, fastest.get(size, seconds))
    if not fitting:
        raise ModelError("Not even one image fits the device's memory.")
    speeds = {size: size / fastest[size] for size in fitting}
    good = 0.95 * max(speeds.values())
    return min(size for size, speed in speeds.items() if speed >= good), speeds


def _table(speeds: dict[int, float]) -> str:
    return ", ".join(f"{size}: {speed:.1f}" for size, speed in speeds.items())
