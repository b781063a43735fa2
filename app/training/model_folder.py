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
from app.training.wording import WORDINGS, FactWords

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
    words, options = WORDINGS[run.options.language], run.options
    contents = Contents(measurement, progress.history, study, dict(facts_of(run, progress, study, words.facts)))
    write_report(staged / "report.html", options.name, contents, words, data=options.data, reader=run.reader)


def facts_of(run: Run, progress: Progress, study: HeadStudy | None, words: FactWords) -> Iterator[tuple[str, str]]:
    """What a reader needs to make the model again: names, and what is said."""
    options, root, alike = run.options, run.base.root, run.split.alike()
    recipe, totals = asdict(options.recipe), {part: count.total() for part, count in run.split.counts().items()}
    if root:
        yield _fact(words.base, model=root.model, sha256=root.weights_sha256)
    else:
        yield _fact(words.scratch, init=options.init)
    yield _fact(words.trained, layers=options.train)
    augmentation = words.kept_augmentation if options.augment in KEPT else words.drawn_augmentation
    yield _fact(augmentation, augment=options.augment, scale=options.scale)
    counts = [f"{words.parts[part]} {total}" for part, total in totals.items() if total]
    yield _fact(words.images, counts=words.comma.join(counts))
    yield _fact(words.left_out, count=len(run.refused))
    yield _fact(words.split, sha256=run.split.sha256)
    yield _fact(words.look_alike, images=sum(alike), groups=len(alike))
    if study:
        yield _head_fact(study, words)
    if options.is_cross_fitted:
        yield words.exported
        yield _fact(words.seed, seed=recipe["seed"])
    else:
        yield _fact(words.recipe, recipe=words.comma.join(f"{name} {value}" for name, value in recipe.items()))
        if progress.best:
            yield _fact(words.best_epoch, epoch=progress.best["epoch"])
    if again := run.trained_though_held_out:
        yield _fact(words.trained_though_held_out, count=again)


def _head_fact(study: HeadStudy, words: FactWords) -> tuple[str, str]:
    mean = study.centroids
    low, high = mean.interval
    shares = {"mean": mean.value, "right": mean.right, "count": mean.count, "low": low, "high": high}
    return _fact(words.head, ridge=study.fit.ridge, folds=study.folds.max() + 1, **shares)


def _fact(words: tuple[str, str], **values: object) -> tuple[str, str]:
    name, text = words
    return name, text.format(**values)


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
