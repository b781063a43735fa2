"""Which image serves for what: stratified by class, drawn from a seed, kept as a file beside the model."""

import csv
import hashlib
import io
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from app.errors import ModelError
from app.training.inspection import UsableImage

Part = Literal["train", "validation", "calibration", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
COLUMNS = ("part", "class_index", "class", "path", "sha256")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image's place in the split. ``index`` is its place in the whole list, the same in every process."""

    index: int
    part: Part
    class_index: int
    class_name: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]

    def part(self, *names: Part) -> list[Sample]:
        return [sample for sample in self.samples if sample.part in names]

    def counts(self) -> dict[Part, Counter[str]]:
        return {part: Counter(sample.class_name for sample in self.part(part)) for part in PARTS}

    def text(self) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((s.part, s.class_index, s.class_name, s.path, s.sha256) for s in self.samples)
        return buffer.getvalue()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()

    def write(self, path: Path) -> None:
        path.write_text(self.text(), encoding="utf-8", newline="")


def make_split(
    images: Sequence[UsableImage], classes: Sequence[str], seed: int, validation: float, test: float = 0.0
) -> Split:
    """Divide each class by the same shares.

    Half of what is held out for validation chooses the best epoch, the other half ("calibration") chooses nothing: the
    temperature is fitted on it. Images whose folder says where they belong stay there. The same images and seed
    give the same split in whatever order they come. Raises ``ModelError`` when a class has too few.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    chosen: list[tuple[int, Part, UsableImage]] = []
    for name in classes:
        # A generator of its own for every class: one more dog moves no cat.
        generator = random.Random(f"{seed} {name}")  # noqa: S311 - a split, not a secret
        group = sorted((one for one in images if one.class_name == name), key=lambda one: one.path)
        generator.shuffle(group)
        parts = _by_folder(group) or _by_share(group, validation, test)
        if not all(parts[part] for part in ("train", "validation", "calibration")):
            raise ModelError(f"Class {name!r} has too few usable images to train on and to validate: {len(group)}.")
        chosen += [(index_of[name], part, image) for part in PARTS for image in parts[part]]
    chosen.sort(key=lambda item: (PARTS.index(item[1]), item[0], item[2].path))
    samples = (
        Sample(index, part, class_index, image.class_name, image.path, image.sha256)
        for index, (class_index, part, image) in enumerate(chosen)
    )
    return Split(tuple(classes), tuple(samples))


def _by_share(group: list[UsableImage], validation: float, test: float) -> Mapping[Part, list[UsableImage]]:
    held_out, tested = round(len(group) * validation), round(len(group) * test)
    half = held_out // 2
    return {
        "validation": group[:half],
        "calibration": group[half:held_out],
        "test": group[held_out : held_out + tested],
        "train": group[held_out + tested :],
    }


def _by_folder(group: list[UsableImage]) -> Mapping[Part, list[UsableImage]] | None:
    if all(image.part is None for image in group):
        return None
    held_out = [image for image in group if image.part == "validation"]
    half = len(held_out) // 2
    return {
        "validation": held_out[:half],
        "calibration": held_out[half:],
        "test": [],
        "train": [image for image in group if image.part == "train"],
    }
