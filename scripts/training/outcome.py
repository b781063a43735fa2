"""The finished run as a folder in the store: everything is staged first, then exported."""

import csv
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from app.model.manifest import Manifest, Training, WeightsOrigin
from scripts.training.classes import write_labels
from scripts.training.export import changed_tensors, export
from scripts.training.loop import Progress, Row
from scripts.training.results import Results

if TYPE_CHECKING:
    from scripts.training.finetuning import Run


def write_model(run: "Run", progress: Progress, results: Results) -> None:
    """``models/<name>/``, ready to be served."""
    name, store_dir = run.options.name, run.settings.store_dir
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
    store_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store_dir, prefix=".staged-") as folder:
        staged = Path(folder)
        write_labels(run.labels, staged / "labels.csv")
        run.split.write(staged / "split.csv")
        write_metrics(progress.history, staged / "metrics.csv")
        write_rows(staged / "excluded.csv", ["path", "reason"], [[one.path, one.reason] for one in run.refused])
        tensors = changed_tensors(run.network.backbone.state_dict(), run.start.root_tensors)
        receipt = export(store_dir, manifest, tensors, staged)
    run.say(f"{name} is in {store_dir / name}: {len(tensors)} tensors, {receipt.weights_size_bytes:,} bytes.")
    run.say(f"A running service takes it in with POST /models/{name}/load (needs an API key), a new one serves it.")


def write_metrics(history: list[Row], path: Path) -> None:
    write_rows(path, list(history[0]) if history else [], [list(row.values()) for row in history])


def write_rows(path: Path, columns: list[str], rows: list[list[object]] | list[list[str]] | list[list[float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
