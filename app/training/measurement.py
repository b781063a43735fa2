"""What a trained network makes of pictures that neither taught it nor chose anything of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from app.heads.cross_fit import CurvePoint
from app.heads.folds import Ints
from app.heads.learning_curve import gain_from_doubling
from app.heads.temperature import cross_fitted, fit_temperature
from app.heads.thresholds import Threshold, fit_threshold, risk_coverage
from app.model.labels import Label
from app.training.scores import (
    Bin,
    ClassQuality,
    Counts,
    Share,
    balanced_accuracy,
    calibration_error,
    class_qualities,
    confusion,
    macro_f1,
    nll,
    reliability,
    top_share,
)
from app.training.split import Sample

Origin = Literal["cross-validation", "calibration", "test"]
ORIGINS: dict[Origin, str] = {
    "cross-validation": "each answered by a head that has not seen it",
    "calibration": "held out; chose nothing but the temperature, which changes no answer",
    "test": "held out; chose nothing",
}
NO_FOLD = -1


@dataclass(frozen=True)
class Fitted:
    """The temperature of the exported network, and for each answer (N,) that of the network which gave it."""

    exported: float
    rows: Tensor


@dataclass(frozen=True)
class Answers:
    """``logits`` (N, classes) by a network that the sample had no part in.

    ``folds`` (N,) divides those that the temperature and the threshold are fitted on, so that each is judged by what
    the other folds ask for; -1 where nothing is fitted on a sample. ``seen`` of them the base was trained on.
    Temperatures that are not ``fitted`` yet are fitted on the logits.
    """

    samples: Sequence[Sample]
    origins: Sequence[Origin]
    logits: Tensor
    folds: Ints
    seen: int = 0
    fitted: Fitted | None = None

    @property
    def targets(self) -> Tensor:
        return torch.tensor([sample.class_index for sample in self.samples], dtype=torch.long)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Before or after dividing by the temperature."""

    nll: float
    error: float
    bins: list[Bin]


@dataclass(frozen=True, slots=True)
class Mistake:
    sample: Sample
    answered: int
    probability: float


@dataclass(frozen=True)
class Measurement:
    """``probabilities`` (N, classes) are as calibrated as those of a picture that is new to the model."""

    labels: Sequence[Label]
    answers: Answers
    probabilities: Tensor
    ten_crop: Share | None
    matrix: Counts
    classes: list[ClassQuality]
    temperature: float
    before: Calibration
    after: Calibration
    known: Threshold | None
    curve: list[Threshold]
    learning: tuple[CurvePoint, ...] = ()

    @property
    def held_out(self) -> Share:
        return top_share(self.probabilities, self.answers.targets)

    @property
    def by_origin(self) -> dict[Origin, Share]:
        targets = self.answers.targets
        masks = {one: torch.tensor([origin == one for origin in self.answers.origins]) for one in ORIGINS}
        return {one: top_share(self.probabilities[m], targets[m]) for one, m in masks.items() if m.any()}

    @property
    def gain(self) -> float | None:
        """What twice the pictures would add to the accuracy, about."""
        return gain_from_doubling(self.learning)

    @property
    def mistakes(self) -> list[Mistake]:
        """The most confident first."""
        confidence, predicted = self.probabilities.max(1)
        wrong = (predicted != self.answers.targets).nonzero()[:, 0].tolist()
        wrong.sort(key=lambda place: -float(confidence[place]))
        return [Mistake(self.answers.samples[row], int(predicted[row]), float(confidence[row])) for row in wrong]

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = [f"{origin:16} top-1 {share}: {ORIGINS[origin]}" for origin, share in self.by_origin.items()]
        balanced, f1 = balanced_accuracy(self.classes), macro_f1(self.classes)
        lines.append(f"{'classes':16} balanced accuracy {balanced:.2%}, macro F1 {f1:.2%}")
        if self.ten_crop:
            lines.append(f"{'ten crops':16} top-1 {self.ten_crop}")
        lines.append(
            f"{'temperature':16} {self.temperature:.3f}: NLL {self.before.nll:.4f} -> {self.after.nll:.4f}, "
            f"calibration error {self.before.error:.4f} -> {self.after.error:.4f}"
        )
        if self.known:
            share = f"{self.known.coverage:.1%} are answered, {self.known.risk:.2%} of these wrongly"
            lines.append(f"{'known':16} from a probability of {self.known.value:.3f}: {share}")
        if self.gain is not None:
            lines.append(f"{'more pictures':16} with twice as many you would gain about {100 * self.gain:.1f} points")
        return lines

    def summary(self) -> dict[str, float]:
        """For the manifest; what could not be measured is left out."""
        low, high = self.held_out.interval
        found = {
            "top1": self.held_out.value,
            "top1_low_95": low,
            "top1_high_95": high,
            "pictures": self.held_out.count,
            "balanced_accuracy": balanced_accuracy(self.classes),
            "macro_f1": macro_f1(self.classes),
            "nll": self.after.nll,
            "calibration_error": self.after.error,
            "nll_uncalibrated": self.before.nll,
            "calibration_error_uncalibrated": self.before.error,
            "pictures_seen_by_base": self.answers.seen,
        }
        found |= {f"top1_{origin.replace('-', '_')}": share.value for origin, share in self.by_origin.items()}
        if self.ten_crop:
            found["top1_ten_crop"] = self.ten_crop.value
        if self.gain is not None:
            found["gain_with_twice_the_pictures"] = self.gain
        return {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}

    def class_summary(self) -> dict[str, dict[str, float]]:
        """For the manifest, by English label."""
        return {
            label.label_en: {
                name: round(value, 6)
                for name, value in (
                    ("precision", q.precision),
                    ("recall", q.recall),
                    ("f1", q.f1),
                    ("pictures", q.count),
                )
                if math.isfinite(value)
            }
            for label, q in zip(self.labels, self.classes, strict=True)
        }


def measure(
    labels: Sequence[Label],
    answers: Answers,
    coverage: float,
    ten_crop: Tensor | None = None,
    learning: tuple[CurvePoint, ...] = (),
) -> Measurement:
    """``ten_crop`` (N, 10, classes) are logits in the samples' order."""
    logits, targets, folds = answers.logits.double(), answers.targets, answers.folds
    fitted = answers.fitted or _fit_temperatures(logits, targets, folds)
    temperatures = fitted.rows
    scaled = logits / temperatures[:, None]
    probabilities = torch.softmax(scaled, 1)
    matrix = confusion(targets, logits.argmax(1), len(labels))
    scores, right = probabilities.max(1).values, logits.argmax(1) == targets
    crops = torch.softmax(ten_crop.double() / temperatures[:, None, None], 2).mean(1) if ten_crop is not None else None
    return Measurement(
        labels=labels,
        answers=answers,
        probabilities=probabilities,
        ten_crop=top_share(crops, targets) if crops is not None else None,
        matrix=matrix,
        classes=class_qualities(matrix),
        temperature=fitted.exported,
        before=_calibration(logits, targets),
        after=_calibration(scaled, targets),
        known=_known(scores, right, folds, coverage),
        curve=risk_coverage(scores, right),
        learning=learning,
    )


def _fit_temperatures(logits: Tensor, targets: Tensor, folds: Ints) -> Fitted:
    fitting = torch.from_numpy(folds != NO_FOLD)
    temperature = fit_temperature(logits[fitting], targets[fitting])
    rows = torch.full((len(targets),), temperature, dtype=torch.float64)
    rows[fitting] = cross_fitted(logits[fitting], targets[fitting], folds[fitting.numpy()])
    return Fitted(temperature, rows)


def _calibration(logits: Tensor, targets: Tensor) -> Calibration:
    bins = reliability(torch.softmax(logits, 1), targets)
    return Calibration(nll(logits, targets), calibration_error(bins), bins)


def _known(scores: Tensor, right: Tensor, folds: Ints, coverage: float) -> Threshold | None:
    """The threshold of all that it may be fitted on; its coverage and risk by what each fold's others ask for."""
    fitting = folds != NO_FOLD
    fitted = fit_threshold(scores[fitting], right[fitting], coverage)
    if fitted is None:
        return None
    answered = torch.zeros(len(scores), dtype=torch.bool)
    for fold in np.unique(folds):
        mine, others = folds == fold, fitting & (folds != fold)
        threshold = fit_threshold(scores[others], right[others], coverage) or fitted
        answered[mine] = scores[mine] >= threshold.value
    wrong = int((answered & ~right).sum())
    count = int(answered.sum())
    return Threshold(fitted.value, count / len(scores), wrong / count if count else 0.0)
