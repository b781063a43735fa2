"""``models/<name>/`` of a finished run: every file that goes with the weights is staged first, then all is exported."""

import csv
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from app.model.files import disk_errors
from app.model.manifest import Known, Manifest, Training, WeightsOrigin
from app.training.classes import write_labels
from app.training.export import changed_tensors, export
from app.training.head_study import HeadStudy
from app.training.lineage import SEEN, SPLIT, write_seen
from app.training.loop import Progress, Row
from app.training.measurement import NO_FOLD, Measurement
from app.training.options import KEPT
from app.training.report import Contents, write_report
from app.training.run import Run

PREDICTION_COLUMNS = (
    "path", "held_out_by", "fold", "label", "predicted", "right", "probability", "probability_of_label"
)  # fmt: skip
SUSPECT_COLUMNS = ("path", "label", "predicted", "probability", "probability_of_label")
CURVE_POINTS = 20
logger = logging.getLogger(__name__)


def write_model(run: Run, progress: Progress, measurement: Measurement, study: HeadStudy | None) -> None:
    """The model, ready to be served."""
    name, store = run.options.name, run.library.store(run.options.name)
    staged = run.work / name / "staged"
    with disk_errors(staged):
        stage(run, progress, measurement, study, staged)
        tensors = changed_tensors(run.network.whole.state_dict(), run.base.root_tensors)
        receipt = export(store, make_manifest(run, measurement), run.labels, tensors, staged)
        shutil.rmtree(staged.parent, ignore_errors=True)
    size = _readable(receipt.weights_size_bytes)
    what = f"{len(tensors)} tensors differ from the base's" if run.base.root else f"{len(tensors)} tensors"
    logger.info("%s is in %s: %s, %s.", name, store.folder, what, size)
    if run.options.is_cross_fitted:
        logger.info(
            "It is fitted on all images but those for the test; the figures are those of the heads of the folds."
        )
    logger.info(
        "A running service loads it at POST /models/%s/load (with an API key), a restarted one by itself.", name
    )


def make_manifest(run: Run, measurement: Measurement) -> Manifest:
    base, found = run.base.manifest, measurement.known
    source = f"training:{run.options.data.resolve().name}"
    curve = measurement.curve
    every = max(1, len(curve) // CURVE_POINTS)
    return Manifest(
        name=run.options.name,
        version=f"{run.options.train}-{run.split.sha256[:8]}",
        architecture=base.architecture,
        preprocessing=run.preprocessing,
        temperature=measurement.temperature,
        labels="labels.csv",
        weights=WeightsOrigin(source=source, license=base.weights.license),
        base=run.base.root,
        training=Training(
            split_sha256=run.split.sha256, metrics=measurement.summary(), classes=measurement.class_summary()
        ),
        known=found
        and Known(
            threshold=found.value,
            coverage=round(found.coverage, 6),
            risk=round(found.risk, 6),
            curve=tuple((round(p.value, 6), round(p.coverage, 6), round(p.risk, 6)) for p in curve[::every]),
        ),
    )


def stage(run: Run, progress: Progress, measurement: Measurement, study: HeadStudy | None, staged: Path) -> None:
    """A folder with everything but the weights and the manifest."""
    shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed here
    staged.mkdir(parents=True)
    write_labels(run.labels, staged / "labels.csv")
    run.split.write(staged / SPLIT)
    write_seen(staged / SEEN, run.split.known(), run.base.lineage.seen)
    write_rows(staged / "excluded.csv", ["path", "reason"], [(one.path, one.reason) for one in run.refused])
    write_rows(staged / "predictions.csv", PREDICTION_COLUMNS, predictions(measurement))
    if progress.history:
        write_metrics(progress.history, staged / "metrics.csv")
        write_tensorboard(progress.history, staged / "tensorboard")
    if study:
        write_rows(staged / "suspects.csv", SUSPECT_COLUMNS, suspect_rows(run, study))
    contents = Contents(measurement, progress.history, study, facts_of(run, progress, study))
    write_report(staged / "report.html", run.options.name, contents, data=run.options.data, reader=run.reader)


def facts_of(run: Run, progress: Progress, study: HeadStudy | None = None) -> dict[str, str]:
    """What a reader needs to make the model again."""
    counts = {part: count.total() for part, count in run.split.counts().items() if count}
    recipe, alike, root = asdict(run.options.recipe), run.split.alike(), run.base.root
    scale = f"scale {run.options.scale}"
    facts = {
        "base": f"{root.model}, weights SHA-256 {root.weights_sha256}" if root else f"none: {run.options.init}",
        "trained": run.options.train,
        "augmentation": run.options.augment if run.options.augment in KEPT else f"{run.options.augment}, {scale}",
        "images": ", ".join(f"{part} {count}" for part, count in counts.items()),
        "left out": f"{len(run.refused)} files, see excluded.csv",
        "split": f"split.csv, SHA-256 {run.split.sha256}",
        "look alike": f"{sum(alike)} images in {len(alike)} groups, each in one part and one fold",
    }
    if study:
        facts["head"] = f"ridge {study.fit.ridge:g}, {study.folds.max() + 1} folds, nearest mean {study.centroids}"
    if run.options.is_cross_fitted:
        facts["exported"] = "fitted on all images but the test part; the figures are those of the heads of the folds"
        facts["seed"] = str(recipe["seed"])
    else:
        facts["recipe"] = ", ".join(f"{name} {value}" for name, value in recipe.items())
        facts["best epoch"] = f"{progress.best['epoch']}, by the validation part" if progress.best else ""
    if again := run.trained_though_held_out:
        facts["held out by the base"] = f"{again} of the images that are trained on"
    return facts


def predictions(measurement: Measurement) -> Iterator[tuple[object, ...]]:
    """One row for everything that was held out."""
    answers, labels = measurement.answers, measurement.labels
    confidence, predicted = measurement.probabilities.max(1)
    for row, sample in enumerate(answers.samples):
        answer, fold = int(predicted[row]), int(answers.folds[row])
        yield (
            sample.path,
            answers.origins[row],
            "" if fold == NO_FOLD else fold,
            labels[sample.class_index].label_en,
            labels[answer].label_en,
            int(answer == sample.class_index),
            f"{float(confidence[row]):.6f}",
            f"{float(measurement.probabilities[row, sample.class_index]):.6f}",
        )


def suspect_rows(run: Run, study: HeadStudy) -> Iterator[tuple[object, ...]]:
    for one in study.suspects:
        sample = study.samples[one.row]
        names = (run.labels[sample.class_index].label_en, run.labels[one.predicted].label_en)
        yield (sample.path, *names, f"{one.probability:.6f}", f"{one.of_label:.6f}")


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
