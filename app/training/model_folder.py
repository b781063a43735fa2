"""``models/<name>/`` of a finished run: every file that goes with the weights is staged first, then all is exported."""

import csv
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from app.model.manifest import Manifest, Training, WeightsOrigin
from app.training.classes import write_labels
from app.training.export import changed_tensors, export
from app.training.loop import Progress, Row
from app.training.measurement import Measurement
from app.training.report import write_report
from app.training.run import Run

logger = logging.getLogger(__name__)


def write_model(run: Run, progress: Progress, measurement: Measurement) -> None:
    """The model, ready to be served."""
    name, store = run.options.name, run.library.store(run.options.name)
    staged = stage(run, progress, measurement)
    tensors = changed_tensors(run.network.whole.state_dict(), run.base.root_tensors)
    receipt = export(store, make_manifest(run, measurement), run.labels, tensors, staged)
    staged.rmdir()
    size = _readable(receipt.weights_size_bytes)
    logger.info("%s is in %s: %d tensors differ from the base's, %s.", name, store.folder, len(tensors), size)
    logger.info(
        "A running service loads it at POST /models/%s/load (with an API key), a restarted one by itself.", name
    )


def make_manifest(run: Run, measurement: Measurement) -> Manifest:
    base = run.base.manifest
    source = f"training:{run.options.data.resolve().name}"
    return Manifest(
        name=run.options.name,
        version=f"{run.options.train}-{run.split.sha256[:8]}",
        architecture=base.architecture,
        preprocessing=base.preprocessing,
        temperature=measurement.temperature,
        labels="labels.csv",
        weights=WeightsOrigin(source=source, license=base.weights.license),
        base=run.base.root,
        training=Training(split_sha256=run.split.sha256, metrics=measurement.summary()),
    )


def stage(run: Run, progress: Progress, measurement: Measurement) -> Path:
    """A folder with everything but the weights and the manifest."""
    staged = run.work / run.options.name / "staged"
    shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed here
    staged.mkdir(parents=True)
    write_labels(run.labels, staged / "labels.csv")
    run.split.write(staged / "split.csv")
    write_metrics(progress.history, staged / "metrics.csv")
    write_rows(staged / "excluded.csv", ["path", "reason"], [(one.path, one.reason) for one in run.refused])
    write_report(
        staged / "report.html",
        run.options.name,
        measurement,
        progress.history,
        data=run.options.data,
        facts=facts_of(run, progress),
        reader=run.reader,
    )
    write_tensorboard(progress.history, staged / "tensorboard")
    return staged


def facts_of(run: Run, progress: Progress) -> dict[str, str]:
    """What a reader needs to make the model again."""
    counts = {part: count.total() for part, count in run.split.counts().items() if count}
    recipe = asdict(run.options.recipe)
    return {
        "base": f"{run.base.root.model}, weights SHA-256 {run.base.root.weights_sha256}",
        "trained": f"{run.options.train}, augmentation: {run.options.augment}",
        "recipe": ", ".join(f"{name} {value}" for name, value in recipe.items()),
        "best epoch": str(progress.best["epoch"]) if progress.best else "",
        "images": ", ".join(f"{part} {count}" for part, count in counts.items()),
        "left out": f"{len(run.refused)} files, see excluded.csv",
        "split": f"split.csv, SHA-256 {run.split.sha256}",
        "look alike across parts": "; ".join(f"{one} and {other}" for one, other in run.alike) or "none",
    }


def write_metrics(history: Sequence[Row], path: Path) -> None:
    """One row per epoch."""
    write_rows(path, list(history[0]) if history else [], [list(row.values()) for row in history])


def write_tensorboard(history: Sequence[Row], folder: Path) -> None:
    """The same numbers for TensorBoard, where it is installed."""
    if find_spec("tensorboard") is None:
        return
    from torch.utils.tensorboard import SummaryWriter  # not a dependency

    with SummaryWriter(str(folder)) as writer:
        for row in history:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _readable(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 10**6 else f"{size / 1e3:.1f} kB"
