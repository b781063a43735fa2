"""The finished run as a folder in the store: everything is staged first, then exported."""

import csv
import shutil
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.model.manifest import Manifest, Training, WeightsOrigin
from app.training.classes import write_labels
from app.training.export import changed_tensors, export
from app.training.loop import Progress, Row
from app.training.report import write_report
from app.training.results import Results

if TYPE_CHECKING:
    from app.training.steps import Run


def write_model(run: "Run", progress: Progress, results: Results) -> None:
    """``models/<name>/``, ready to be served."""
    name, store = run.options.name, run.library.store(run.options.name)
    manifest = Manifest(
        name=name,
        version=f"{run.options.train}-{run.split.sha256[:8]}",
        architecture=run.start.manifest.architecture,
        preprocessing=run.start.manifest.preprocessing,
        temperature=results.temperature,
        labels="labels.csv",
        weights=WeightsOrigin(
            source=f"training:{run.options.data.resolve().name}", license=run.start.manifest.weights.license
        ),
        base=run.start.root,
        training=Training(split_sha256=run.split.sha256, metrics=results.summary()),
    )
    staged = run.work / name / "staged"
    shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed here
    staged.mkdir(parents=True)
    write_labels(run.labels, staged / "labels.csv")
    run.split.write(staged / "split.csv")
    write_metrics(progress.history, staged / "metrics.csv")
    write_rows(staged / "excluded.csv", ["path", "reason"], [[one.path, one.reason] for one in run.refused])
    write_report(
        staged / "report.html", name, results, progress.history,
        data=run.options.data, facts=facts_of(run, progress), reader=run.reader,
    )  # fmt: skip
    write_tensorboard(progress.history, staged / "tensorboard")
    tensors = changed_tensors(run.network.backbone.state_dict(), run.start.root_tensors)
    receipt = export(store, manifest, tensors, staged)
    staged.rmdir()
    run.say(f"{name} is in {store.folder}: {len(tensors)} tensors, {receipt.weights_size_bytes:,} bytes.")
    run.say(f"A running service takes it in with POST /models/{name}/load (needs an API key), a new one serves it.")


def facts_of(run: "Run", progress: Progress) -> dict[str, str]:
    """What a reader needs to make the model again."""
    counts = {part: count.total() for part, count in run.split.counts().items() if count}
    recipe = asdict(run.options.recipe)
    return {
        "base": f"{run.start.root.model}, weights SHA-256 {run.start.root.weights_sha256}",
        "trained": f"{run.options.train}, augmentation: {run.options.augment}",
        "recipe": ", ".join(f"{name} {value}" for name, value in recipe.items()),
        "best epoch": str(progress.best["epoch"]) if progress.best else "",
        "pictures": ", ".join(f"{part} {count}" for part, count in counts.items()),
        "left out": f"{len(run.refused)} files, see excluded.csv",
        "split": f"split.csv, SHA-256 {run.split.sha256}",
        "look alike across parts": "; ".join(f"{one} and {other}" for one, other in run.alike) or "none",
    }


def write_metrics(history: list[Row], path: Path) -> None:
    write_rows(path, list(history[0]) if history else [], [list(row.values()) for row in history])


def write_tensorboard(history: list[Row], folder: Path) -> None:
    """The same numbers for TensorBoard, where it is installed."""
    if find_spec("tensorboard") is None:
        return
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - not a dependency

    with SummaryWriter(str(folder)) as writer:
        for row in history:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))


def write_rows(path: Path, columns: list[str], rows: list[list[object]] | list[list[str]] | list[list[float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
