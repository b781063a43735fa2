"""What a trained network makes of the held-out images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.model.labels import Label
from app.training.scores import (
    Bin,
    ClassQuality,
    Counts,
    Share,
    calibration_error,
    class_qualities,
    confusion,
    fit_temperature,
    nll,
    reliability,
    top_share,
)
from app.training.split import Part, Sample


@dataclass(frozen=True, slots=True)
class Calibration:
    """Before and after dividing by the temperature, on images that it was not fitted on."""

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
    labels: Sequence[Label]
    held_out: Share
    by_part: dict[Part, Share]
    ten_crop: Share | None
    matrix: Counts
    classes: list[ClassQuality]
    temperature: float
    before: Calibration
    after: Calibration
    mistakes: list[Mistake]

    def lines(self) -> list[str]:
        """For the terminal."""
        names = {
            "validation": "chose the best epoch",
            "calibration": "fitted the temperature",
            "test": "chose and fitted nothing",
        }
        lines = [f"held out     top-1 {self.held_out}"]
        lines += [f"{part:12} top-1 {share}: {names[part]}" for part, share in self.by_part.items()]
        if self.ten_crop:
            lines.append(f"ten crops    top-1 {self.ten_crop}")
        lines.append(
            f"temperature  {self.temperature:.3f}: NLL {self.before.nll:.4f} -> {self.after.nll:.4f}, "
            f"calibration error {self.before.error:.4f} -> {self.after.error:.4f}"
        )
        return lines

    def summary(self) -> dict[str, float]:
        """For the manifest; what could not be measured is left out."""
        low, high = self.held_out.interval
        found = {
            "top1": self.held_out.value,
            "top1_low_95": low,
            "top1_high_95": high,
            "pictures": self.held_out.count,
            "nll": self.after.nll,
            "calibration_error": self.after.error,
            "nll_uncalibrated": self.before.nll,
            "calibration_error_uncalibrated": self.before.error,
        }
        found |= {f"top1_{part}": share.value for part, share in self.by_part.items()}
        if self.ten_crop:
            found["top1_ten_crop"] = self.ten_crop.value
        return {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}


def measure(labels: Sequence[Label], samples: Sequence[Sample], logits: Tensor, ten_crop: Tensor | None) -> Measurement:
    """``logits`` (N, classes) and ``ten_crop`` (N, 10, classes) in the samples' order.

    The temperature is fitted on the part "calibration" and judged on the others.
    """
    targets = torch.tensor([sample.class_index for sample in samples])
    fitting = torch.tensor([sample.part == "calibration" for sample in samples])
    temperature = fit_temperature(logits[fitting], targets[fitting])
    predicted = logits.argmax(1)
    parts: list[Part] = ["validation", "calibration", "test"]
    masks = {part: torch.tensor([sample.part == part for sample in samples]) for part in parts}
    matrix = confusion(targets, predicted, len(labels))
    return Measurement(
        labels=labels,
        held_out=top_share(logits, targets),
        by_part={part: top_share(logits[mask], targets[mask]) for part, mask in masks.items() if mask.any()},
        ten_crop=top_share(torch.softmax(ten_crop, 2).mean(1), targets) if ten_crop is not None else None,
        matrix=matrix,
        classes=class_qualities(matrix),
        temperature=temperature,
        before=_calibration(logits[~fitting], targets[~fitting], 1.0),
        after=_calibration(logits[~fitting], targets[~fitting], temperature),
        mistakes=_mistakes(samples, torch.softmax(logits / temperature, 1), targets),
    )


def _calibration(logits: Tensor, targets: Tensor, temperature: float) -> Calibration:
    bins = reliability(torch.softmax(logits / temperature, 1), targets)
    return Calibration(nll(logits, targets, temperature), calibration_error(bins), bins)


def _mistakes(samples: Sequence[Sample], probabilities: Tensor, targets: Tensor) -> list[Mistake]:
    """The most confident first."""
    confidence, predicted = probabilities.max(1)
    wrong = [place for place in range(len(samples)) if predicted[place] != targets[place]]
    wrong.sort(key=lambda place: -float(confidence[place]))
    return [Mistake(samples[place], int(predicted[place]), float(confidence[place])) for place in wrong]
