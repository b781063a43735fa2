"""Which image serves for what: by its content and a seed, kept as a file beside the model.

A picture's part follows from the seed and its group of pictures that look alike; no other's coming or going moves it.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from app.errors import ModelError
from app.training.data import Refused
from app.training.inspection import UsableImage
from app.training.lineage import KnownPicture
from app.training.looks import COLOUR_BYTES, Look, group_alike

Part = Literal["train", "validation", "calibration", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
COLUMNS = ("part", "class_index", "class", "path", "sha256", "group", "look")
# Of a group in several parts the strictest counts.
STRICTEST: tuple[Part, ...] = ("test", "calibration", "validation", "train")
GROUP_DIGITS = 16
UNSEEN = Look(0, bytes(COLOUR_BYTES))


@dataclass(frozen=True, slots=True)
class Sample:
    """One image's place in the split. ``index`` is its place in the whole list, the same in every process."""

    index: int
    part: Part
    class_index: int
    class_name: str
    path: str
    sha256: str
    group: str = ""
    look: Look = UNSEEN


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the data is held out. Without ``validation`` nothing has to be chosen by a part of its own.

    What has a folder of its own beside ``train`` is taken from there; ``beside_folder`` takes the share for validation
    from ``train`` as well. The share for the test always is.
    """

    validation: float
    test: float
    beside_folder: bool = False

    def part(self, place: float) -> Part:
        """For a number from 0 to 1."""
        if place < self.test:
            return "test"
        if place < self.test + self.validation:
            return "validation" if place < self.test + self.validation / 2 else "calibration"
        return "train"


@dataclass(frozen=True, slots=True)
class Split:
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]

    def part(self, *names: Part) -> list[Sample]:
        return [sample for sample in self.samples if sample.part in names]

    def counts(self) -> dict[Part, Counter[str]]:
        return {part: Counter(sample.class_name for sample in self.part(part)) for part in PARTS}

    def alike(self) -> list[int]:
        """How many images each group of several has."""
        return [count for count in Counter(sample.group for sample in self.samples).values() if count > 1]

    def text(self) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            (s.part, s.class_index, s.class_name, s.path, s.sha256, s.group, str(s.look)) for s in self.samples
        )
        return buffer.getvalue()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()

    def write(self, path: Path) -> None:
        path.write_text(self.text(), encoding="utf-8", newline="")

    def known(self) -> list[KnownPicture]:
        return [KnownPicture(sample.sha256, sample.part, sample.look) for sample in self.samples]


@dataclass(frozen=True, slots=True)
class _Placed:
    image: UsableImage
    group: str
    part: Part


def make_split(
    images: Sequence[UsableImage],
    classes: Sequence[str],
    seed: int,
    shares: Shares,
    known: Sequence[KnownPicture] = (),
) -> tuple[Split, list[Refused]]:
    """Give each group of images that look alike a part, and leave out what would lie in two.

    Half of what is held out for validation chooses the best epoch, the other half ("calibration") chooses nothing. What
    a folder says goes before what is ``known`` of a picture or of a copy of it, and that before the draw. The same
    images and seed give the same split in whatever order they come. Raises ``ModelError`` when a class has too few.
    """
    placed, refused = [], []
    for group, members in _groups(images, known).items():
        wanted = [_wanted(one, group, seed, shares) for one in members]
        settled = {part for part in wanted if part}
        part = next((one for one in STRICTEST if one in settled), shares.part(_draw(seed, group)))
        for one, own in zip(members, wanted, strict=True):
            if one.image and own in (None, part):
                placed.append(_Placed(one.image, group, part))
            elif one.image:
                refused.append(Refused(one.image.path, f"looks like an image that is held out ({part})"))
    for name in classes:
        _fill(placed, name, shares, seed)
    index_of = {name: index for index, name in enumerate(classes)}
    placed.sort(key=lambda one: (PARTS.index(one.part), index_of[one.image.class_name], one.image.path))
    samples = (
        Sample(index, one.part, index_of[image.class_name], image.class_name, image.path, image.sha256, one.group,
               image.look)
        for index, one in enumerate(placed)
        for image in (one.image,)
    )  # fmt: skip
    return Split(tuple(classes), tuple(samples)), refused


class _Member(NamedTuple):
    """A picture that is there, or was, or both."""

    sha256: str
    look: Look
    image: UsableImage | None
    picture: KnownPicture | None


def _groups(images: Sequence[UsableImage], known: Sequence[KnownPicture]) -> dict[str, list[_Member]]:
    """Groups by their smallest digest. Of a picture that is known and no longer there, its look still counts."""
    history = {one.sha256: one for one in known}
    members = [_Member(image.sha256, image.look, image, history.pop(image.sha256, None)) for image in images]
    members += [_Member(one.sha256, one.look, None, one) for one in history.values() if one.look]
    gathered: dict[int, list[_Member]] = {}
    for leader, member in zip(group_alike([one.look for one in members]), members, strict=True):
        gathered.setdefault(leader, []).append(member)
    found = {min(one.sha256 for one in group): group for group in gathered.values()}
    return {name[:GROUP_DIGITS]: found[name] for name in sorted(found)}


def _wanted(member: _Member, group: str, seed: int, shares: Shares) -> Part | None:
    """The part that a folder or the past gives to a picture."""
    image, picture = member.image, member.picture
    if image is not None and image.part is not None:
        if image.part == "train":
            if picture and picture.part == "test":
                return "test"
            return replace(shares, validation=shares.validation * shares.beside_folder).part(_draw(seed, group))
        if image.part == "test":
            return "test"
        if not shares.validation:
            return "test"
        return "validation" if _draw(seed, f"{group} folder") < 1 / 2 else "calibration"
    return next((part for part in PARTS if picture and picture.part == part), None)


def _draw(seed: int, group: str) -> float:
    """From 0 to 1."""
    return int(hashlib.sha256(f"{seed} {group}".encode()).hexdigest()[:13], 16) / 16**13


def _fill(placed: list[_Placed], name: str, shares: Shares, seed: int) -> None:
    """Give a small class, which the draw has left without one, a group for each part that it needs.

    Raises ``ModelError`` when it has too few.
    """
    needed: tuple[Part, ...] = ("train", "validation", "calibration") if shares.validation else ("train",)
    mine = [one for one in placed if one.image.class_name == name]
    for part in needed:
        if any(one.part == part for one in mine):
            continue
        crowded = [p for p in needed if len({one.group for one in mine if one.part == p}) > 1]
        givers = {one.group for one in mine if crowded and one.part == crowded[0]}
        if not givers:
            raise ModelError(
                f"Class {name!r} has too few usable images that do not look alike: {len({one.group for one in mine})}."
            )
        given = min(givers, key=lambda group: _draw(seed, group))
        placed[:] = [replace(one, part=part) if one.group == given else one for one in placed]
        mine = [one for one in placed if one.image.class_name == name]
