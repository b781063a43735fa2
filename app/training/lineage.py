"""Which pictures a model has been taught with, those of the models that it was made from included.

``split.csv`` beside a model says what its own run did with each picture, ``seen.csv`` what any run on the way to it
did.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import ModelError
from app.training.looks import Look, alike_to

SPLIT, SEEN = "split.csv", "seen.csv"
SEEN_COLUMNS = ("part", "sha256", "look")
TEST = "test"


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """``look`` is missing in what earlier versions wrote."""

    sha256: str
    part: str
    look: Look | None


@dataclass(frozen=True)
class Lineage:
    """``own`` is the model's own split; ``seen`` are the pictures that taught it or chose something of it."""

    own: tuple[KnownPicture, ...] = ()
    seen: tuple[KnownPicture, ...] = ()

    def taught(self, pictures: Sequence[tuple[str, Look]]) -> list[bool]:
        """For each picture, by digest and look, whether the model was trained on it or on a copy."""
        return are_among(pictures, [one for one in self.seen if one.part == "train"])


def read_lineage(folder: Path) -> Lineage:
    """Of the model in a folder; empty for one that was not trained here."""
    if not (folder / SPLIT).is_file():
        return Lineage()
    own = tuple(read_pictures(folder / SPLIT))
    if not (folder / SEEN).is_file():
        return Lineage(own, tuple(one for one in own if one.part != TEST))
    return Lineage(own, tuple(read_pictures(folder / SEEN)))


def read_pictures(path: Path) -> list[KnownPicture]:
    """The rows of a ``split.csv`` or ``seen.csv``. Raises ``ModelError`` when it is not one."""
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(not row.get("sha256") or not row.get("part") for row in rows):
        raise ModelError(f"{path} is no split: it needs the columns part and sha256 in every row.")
    return [
        KnownPicture(row["sha256"], row["part"], Look.parse(row["look"]) if row.get("look") else None) for row in rows
    ]


def write_seen(path: Path, own: Iterable[KnownPicture], inherited: Iterable[KnownPicture]) -> None:
    """What the run did with each picture, and of what came before it the rest; "train" is stronger than any other."""
    seen: dict[str, KnownPicture] = {}
    for one in (*own, *inherited):
        if one.part != TEST and (one.sha256 not in seen or one.part == "train"):
            seen[one.sha256] = one
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SEEN_COLUMNS)
        writer.writerows((one.part, one.sha256, one.look or "") for _, one in sorted(seen.items()))


def are_among(pictures: Sequence[tuple[str, Look]], known: Sequence[KnownPicture]) -> list[bool]:
    """For each picture, by digest and look, whether it or a copy of it is known."""
    digests = {one.sha256 for one in known}
    alike = alike_to([look for _, look in pictures], [one.look for one in known if one.look])
    return [sha256 in digests or like for (sha256, _), like in zip(pictures, alike, strict=True)]
