"""From a folder of images to a served model: the steps, one after the other."""

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from app.errors import ModelError
from app.heads.folds import group_folds
from app.heads.logistic import Head
from app.image.views import Pixels
from app.settings import Settings
from app.training.ahead import map_ahead
from app.training.augment import ten_crops
from app.training.distributed import Ranks
from app.training.frozen_side import choose_sources, head_features, read_views
from app.training.gradient_steps import checkpoint_file, train
from app.training.head_study import HeadStudy, install_head, study_head
from app.training.loop import Progress, gather_logits
from app.training.measurement import NO_FOLD, Answers, Fitted, Origin, measure
from app.training.model_folder import write_model
from app.training.options import Options
from app.training.run import WORK, Run, prepare_run
from app.training.sources import Source
from app.training.split import Sample
from app.training.terminal import progress_bar

UNEVEN = 3  # times as many images in the largest class as in the smallest
logger = logging.getLogger(__name__)


def finetune(options: Options, settings: Settings, ranks: Ranks) -> None:
    """All of it. Raises ``ModelError`` with what is wrong with the data, the base or the disk."""
    busy = f"Another process is training {options.name!r} now."
    with ranks.holding(settings.store_dir / WORK / f"{options.name}.lock", busy):
        run_steps(prepare_run(options, settings, ranks))


def run_steps(run: Run) -> None:
    """Frozen layers, fitting or training, measuring, export."""
    report_data(run)
    checkpoint = checkpoint_file(run)
    source, answering = choose_sources(run)
    study = head_first(run, answering)
    if run.options.is_cross_fitted:
        assert study is not None  # without one there is nothing to export, and an error has said so
        install_head(run, study.fit.head)
        progress, answers = Progress(), cross_fitted_answers(run, study, answering)
    else:
        if study is not None and run.options.train != "head":
            held_out = frozenset(one.sha256 for one in run.split.part("validation", "calibration"))
            install_head(run, study.head_without(run, held_out))
        progress, answers = train(run, source, answering, checkpoint).progress, held_out_answers(run, answering)
    crops = ten_crop_logits(run, answers, study) if run.options.ten_crop else None
    if run.ranks.is_first:
        learning = study.fit.curve if study and run.options.is_cross_fitted else ()
        measurement = measure(run.labels, answers, run.options.known_coverage, crops, learning)
        for line in measurement.lines():
            logger.info(line)
        write_model(run, progress, measurement, study)
        checkpoint.remove()


def report_data(run: Run) -> None:
    """What was found, what was left out and why."""
    for part, counts in run.split.counts().items():
        if counts:
            each = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            logger.info("%-12s %6d images: %s", part, counts.total(), each)
    if run.refused:
        logger.info(
            "%-12s %6d files, all listed in excluded.csv beside the model; such as", "left out", len(run.refused)
        )
        for one in run.refused[:5]:
            logger.info("    %s: %s", one.path, one.reason)
    if alike := run.split.alike():
        logger.info("%-12s %6d images in %d groups, each of which is in one part", "look alike", sum(alike), len(alike))
    if again := run.trained_though_held_out:
        logger.warning("%d images are trained on that %r was measured by.", again, run.base.manifest.name)
    sizes = [count for _, count in sorted(run.split.counts()["train"].items())]
    if max(sizes) > UNEVEN * min(sizes) and run.options.recipe.class_weights == "none":
        logger.info("%-12s from %d to %d images to train on; see --class-weights", "uneven", min(sizes), max(sizes))


def head_first(run: Run, answering: Source) -> HeadStudy | None:
    """The head, fitted and cross-fitted on all that is not for the test; there is none to fit on features that are
    drawn."""
    if run.base.is_scratch:
        return None
    samples = run.split.part("train", "validation", "calibration")
    features = head_features(run, answering, samples)
    try:
        study = study_head(run, samples, features)
    except ModelError as error:
        if run.options.is_cross_fitted:
            raise
        logger.warning("No head is fitted beforehand. %s", error)
        return None
    logger.info("%-12s %s in %d-fold cross-validation (nearest mean: %.2f%%), %d labels are suspect", "head",
                study.share, study.folds.max() + 1, 100 * study.centroids.value, len(study.suspects))  # fmt: skip
    return study


def cross_fitted_answers(run: Run, study: HeadStudy, answering: Source) -> Answers:
    """Out of fold, and for the test by the exported head."""
    test = run.split.part("test")
    tested = study.fit.head.logits(head_features(run, answering, test)[:, 0]) if test else study.fit.logits[:0]
    samples = [*study.samples, *test]
    origins: list[Origin] = ["test" if sample.part == "test" else "cross-validation" for sample in samples]
    folds = np.concatenate([study.folds, np.full(len(test), NO_FOLD)])
    fit = study.fit
    rows = torch.cat([fit.temperatures, torch.full((len(test),), fit.temperature, dtype=torch.float64)])
    logits = torch.cat([fit.logits, tested])
    return unseen(run, Answers(samples, origins, logits, folds, fitted=Fitted(fit.temperature, rows)))


def held_out_answers(run: Run, answering: Source) -> Answers:
    """Of the parts that chose no epoch."""
    samples = run.split.part("calibration", "test")
    logits = gather_logits(run.network, answering, samples, run.options.feature_batch_size, run.ranks)
    fitting = [sample for sample in samples if sample.part == "calibration"]
    groups = np.unique([sample.group for sample in fitting], return_inverse=True)[1].astype(np.int64)
    targets = np.array([sample.class_index for sample in fitting])
    count = min(run.options.folds, len(np.unique(groups)))
    folds = np.full(len(samples), NO_FOLD)
    folds[[sample.part == "calibration" for sample in samples]] = group_folds(
        targets, groups, count, run.options.recipe.seed
    )
    parts: list[Origin] = ["test" if sample.part == "test" else "calibration" for sample in samples]
    return unseen(run, Answers(samples, parts, logits, folds))


def unseen(run: Run, answers: Answers) -> Answers:
    """Without those that the base was trained on; unless there would be nothing left, when they are only counted."""
    if not (run.base.trained_trunk() or run.keeps_head):
        return answers
    taught = run.base.lineage.taught([(sample.sha256, sample.look) for sample in answers.samples])
    seen = sum(taught)
    if not seen:
        return answers
    name = run.base.manifest.name
    kept = [row for row, one in enumerate(taught) if not one]
    fitting = any(answers.folds[row] != NO_FOLD for row in kept)
    if not kept or not fitting:
        logger.warning("%r was trained on %d of the %d pictures measured here: the figures flatter.", name, seen,
                       len(taught))  # fmt: skip
        return replace(answers, seen=seen)
    logger.info("%r was trained on %d of the pictures held out here: they are left out of the figures.", name, seen)
    return Answers(
        [answers.samples[row] for row in kept],
        [answers.origins[row] for row in kept],
        answers.logits[kept],
        answers.folds[kept],
        fitted=replace(answers.fitted, rows=answers.fitted.rows[kept]) if answers.fitted else None,
    )


def ten_crop_logits(run: Run, answers: Answers, study: HeadStudy | None) -> Tensor:
    """fp32 (N, 10, classes), the same in every process; cross-validated answers are by the heads of their folds."""
    views, options, samples = ten_crops(run.preprocessing), run.options, answers.samples
    trained = Head(run.network.head.weight.detach().cpu(), run.network.head.bias.detach().cpu())
    fold_heads = study.fit.fold_heads if study and options.is_cross_fitted else ()
    heads = [fold_heads[fold] if fold_heads and fold != NO_FOLD else trained for fold in answers.folds.tolist()]

    def load(sample: Sample) -> Pixels:
        return read_views(run, options.data / sample.path, views)

    mine = run.ranks.share(len(samples))
    found = []
    with progress_bar("Ten crops", len(samples[mine]), "image") as bar:
        loaded = map_ahead(load, samples[mine], options.workers, 2 * options.workers)
        for crops, head in zip(loaded, heads[mine], strict=True):
            found.append(head.logits(crop_features(run, crops)))
            bar.update()
    everyone = [tensor for tensors in run.ranks.gather(found) for tensor in tensors]
    return torch.stack(everyone)


@torch.no_grad()
def crop_features(run: Run, crops: Pixels) -> Tensor:
    """fp32 (crops, width): what the last layer is shown of the crops of one image."""
    run.network.trained.eval()
    batch = torch.from_numpy(crops).permute(0, 3, 1, 2).to(run.device)
    features: Tensor = run.network.before_head(run.network.frozen(batch))
    return features.float().cpu().flatten(1)
