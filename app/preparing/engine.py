"""Which engine is the fastest on this processor: measured once, kept in the receipt."""

from collections.abc import Callable, Mapping

from torch import nn
from tqdm import tqdm

from app.model.engine_choice import replace_trunk, take, trunk_of
from app.model.engines import Engine, engines_for, is_installed
from app.model.files import write_atomically
from app.model.library import Library
from app.model.manifest import Manifest
from app.model.network import (
    TorchNetwork,
    build_network,
    processor_kind,
    resolve_device,
    resolve_precision,
    seconds_per_batch,
)
from app.model.sharing import read_weights
from app.settings import Settings

SIZES = (1, 4)
TURNS = 5
PATIENCE_S = 60.0
CLEARLY = 0.95

Times = dict[Engine, dict[int, float]]
"""Seconds by engine and batch size."""


def has_choice(manifest: Manifest, settings: Settings) -> bool:
    """Whether several engines can compute this network here, and none was chosen by hand."""
    return settings.cpu_engine == "auto" and len(_possible(manifest, settings)) > 1


def is_measured(manifest: Manifest, settings: Settings) -> bool:
    return processor_kind() in Library.from_settings(settings).store(manifest.name).read_receipt().best_engine


def measure_engine(manifest: Manifest, settings: Settings, say: Callable[[str], None]) -> Engine:
    """Find the fastest engine that answers as eager does, and add it to the receipt."""
    library = Library.from_settings(settings)
    files, device = read_weights(library, manifest), resolve_device(settings.device)
    network = build_network(manifest, files.joined(), len(library.labels(manifest)), device, "fp32")
    trunks: dict[Engine, nn.Module] = {"eager": trunk_of(network)}
    for engine in filter(is_installed, _possible(manifest, settings)[1:]):
        reason = take(network, manifest, files, engine)
        if reason is None:
            trunks[engine] = trunk_of(network)
        else:
            say(f"{engine} does not answer as eager does: {reason}.")
        replace_trunk(network, trunks["eager"])
    with tqdm(desc="Measuring engines", unit="forward", total=TURNS * len(SIZES) * len(trunks)) as bar:
        times = time_engines(network, trunks, manifest.preprocessing.crop, bar.update)
    engine = fastest(times)
    say(f"Seconds per batch by engine on {processor_kind()}: {_table(times)}; taking {engine}.")
    store = library.store(manifest.name)
    with store.locked(PATIENCE_S):  # and read again: another model may have taken the place meanwhile
        receipt = store.read_receipt()
        known = receipt.best_engine | {processor_kind(): engine}
        write_atomically(store.receipt, receipt.model_copy(update={"best_engine": known}))
    return engine


def time_engines(
    network: TorchNetwork, trunks: Mapping[Engine, nn.Module], crop: int, progress: Callable[[], object] = lambda: None
) -> Times:
    """The best turn of each engine at each size. They take turns, so that whatever slows the machine slows them all."""
    times: Times = {engine: {} for engine in trunks}
    for turn in range(TURNS):
        for size in SIZES:
            for engine, trunk in trunks.items():
                replace_trunk(network, trunk)
                seconds = seconds_per_batch(network, crop, size)
                progress()
                if turn > 0:  # the first one warms up
                    times[engine][size] = min(seconds, times[engine].get(size, seconds))
    return times


def fastest(times: Times) -> Engine:
    """Of those that are clearly faster than eager at every size, the one with the least time per image over all."""
    eager = times["eager"]
    good = [one for one in times if all(times[one][size] <= CLEARLY * eager[size] for size in eager)]
    return min(good, key=lambda one: sum(seconds / size for size, seconds in times[one].items()), default="eager")


def _possible(manifest: Manifest, settings: Settings) -> tuple[Engine, ...]:
    device = resolve_device(settings.device)
    return engines_for(manifest.architecture, device, resolve_precision(settings.precision, device))


def _table(times: Times) -> str:
    rows = (
        (engine, ", ".join(f"{size}: {second:.3f}" for size, second in row.items())) for engine, row in times.items()
    )
    return "; ".join(f"{engine} {row}" for engine, row in rows)
