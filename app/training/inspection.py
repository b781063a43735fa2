"""Every file is fully decoded once before anything is trained; what was found is remembered by content."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from app.errors import ServiceError
from app.image.reader import Reader
from app.training.ahead import map_ahead
from app.training.data import LabelledFile, Listing, Refused
from app.training.terminal import progress_bar

LOOK_SIDE = 8


@dataclass(frozen=True, slots=True)
class Inspection:
    """``look`` is a difference hash: 64 bits, whether each of 8 x 8 cells is brighter than its right neighbour."""

    sha256: str
    fault: str | None
    look: str | None


@dataclass(frozen=True, slots=True)
class UsableImage:
    """An image that can be decoded, known by its content."""

    path: str
    class_name: str
    part: str | None
    sha256: str
    look: str


def inspect(listing: Listing, cache: Path, reader: Reader, workers: int) -> tuple[list[UsableImage], list[Refused]]:
    """The usable images, and those left out: undecodable ones, copies, and copies that are labelled differently.

    Of files with the same bytes the first stays, so that no image can lie on both sides of a split; when their labels
    differ none stays, since one of them must be wrong.
    """
    known = _read(cache)

    def look_at(file: LabelledFile) -> Inspection:
        data = (listing.root / file.path).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        return known.get(sha256) or _decode(data, sha256, reader)

    found = []
    with progress_bar("Decoding every file once", len(listing.files), "file") as bar:
        for one in map_ahead(look_at, listing.files, workers, 4 * workers):
            found.append(one)
            bar.update()
    _write(cache, known | {one.sha256: one for one in found})
    return _sort_out(listing.files, found)


def alike_across_parts(parts: Sequence[tuple[str, UsableImage]]) -> list[tuple[str, str]]:
    """Pairs of paths that look the same and lie in different parts; they are reported, nobody decides for the user."""
    first_by_look: dict[str, tuple[str, UsableImage]] = {}
    pairs = []
    for part, image in parts:
        first_part, first = first_by_look.setdefault(image.look, (part, image))
        if part != first_part:
            pairs.append((first.path, image.path))
    return pairs


def _decode(data: bytes, sha256: str, reader: Reader) -> Inspection:
    try:
        image = reader.photograph(data)
    except ServiceError as error:
        return Inspection(sha256, error.detail, None)
    gray = np.asarray(image.convert("L").resize((LOOK_SIDE + 1, LOOK_SIDE), Image.Resampling.BOX))
    bits = np.packbits(gray[:, :-1] > gray[:, 1:])
    return Inspection(sha256, None, bits.tobytes().hex())


def _sort_out(files: Sequence[LabelledFile], found: Sequence[Inspection]) -> tuple[list[UsableImage], list[Refused]]:
    classes: dict[str, set[str]] = {}
    for file, one in zip(files, found, strict=True):
        classes.setdefault(one.sha256, set()).add(file.class_name)
    usable: dict[str, UsableImage] = {}
    refused = []
    for file, one in zip(files, found, strict=True):
        if one.look is None:
            refused.append(Refused(file.path, one.fault or "undecodable"))
        elif len(classes[one.sha256]) > 1:
            names = " and ".join(sorted(classes[one.sha256]))
            refused.append(Refused(file.path, f"the same bytes are labelled {names}"))
        elif one.sha256 in usable:
            refused.append(Refused(file.path, f"a copy of {usable[one.sha256].path}"))
        else:
            usable[one.sha256] = UsableImage(file.path, file.class_name, file.part, one.sha256, one.look)
    return list(usable.values()), refused


def _read(cache: Path) -> dict[str, Inspection]:
    if not cache.is_file():
        return {}
    lines = cache.read_text(encoding="utf-8").splitlines()
    return {one.sha256: one for one in (Inspection(**json.loads(line)) for line in lines)}


def _write(cache: Path, known: dict[str, Inspection]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_suffix(".part")
    part.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in known.values()), encoding="utf-8")
    part.replace(cache)
