"""Every file is fully decoded once before anything is trained; what was found is remembered by content."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from app.errors import ServiceError
from app.image.reader import Reader
from app.training.ahead import map_ahead
from app.training.data import Labelled, Listing, Refused

LOOK_SIDE = 8


@dataclass(frozen=True, slots=True)
class Inspected:
    """``look`` is a difference hash: 64 bits, whether each of 8 x 8 cells is brighter than its right neighbour."""

    sha256: str
    fault: str | None
    look: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be decoded, known by its content."""

    path: str
    class_name: str
    part: str | None
    sha256: str
    look: str


def inspect(listing: Listing, cache: Path, reader: Reader, workers: int) -> tuple[list[Picture], list[Refused]]:
    """The usable pictures, and those left out: undecodable ones, copies, and copies that are labelled differently.

    Of files with the same bytes the first stays, so that no picture can lie on both sides of a split; when their labels
    differ none stays, since one of them must be wrong.
    """
    known = _read(cache)

    def look_at(picture: Labelled) -> Inspected:
        data = (listing.root / picture.path).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        return known.get(sha256) or _decode(data, sha256, reader)

    results = map_ahead(look_at, listing.pictures, workers, 4 * workers)
    bar = tqdm(results, total=len(listing.pictures), desc="Decoding every file once", unit="file", mininterval=0.5)
    found = list(bar)
    _write(cache, known | {one.sha256: one for one in found})
    return _sort_out(listing.pictures, found)


def alike_across_parts(parts: Sequence[tuple[str, Picture]]) -> list[tuple[str, str]]:
    """Pairs of paths that look the same and lie in different parts; they are reported, nobody decides for the user."""
    by_look: dict[str, list[tuple[str, Picture]]] = {}
    for part, picture in parts:
        by_look.setdefault(picture.look, []).append((part, picture))
    return [
        (group[0][1].path, other.path)
        for group in by_look.values()
        for part, other in group[1:]
        if part != group[0][0]
    ]  # fmt: skip


def _decode(data: bytes, sha256: str, reader: Reader) -> Inspected:
    try:
        image = reader.photograph(data)
    except ServiceError as error:
        return Inspected(sha256, error.detail, None)
    gray = np.asarray(image.convert("L").resize((LOOK_SIDE + 1, LOOK_SIDE), Image.Resampling.BOX))
    bits = np.packbits(gray[:, :-1] > gray[:, 1:])
    return Inspected(sha256, None, bits.tobytes().hex())


def _sort_out(pictures: Sequence[Labelled], found: Sequence[Inspected]) -> tuple[list[Picture], list[Refused]]:
    classes: dict[str, set[str]] = {}
    for picture, one in zip(pictures, found, strict=True):
        classes.setdefault(one.sha256, set()).add(picture.class_name)
    usable: dict[str, Picture] = {}
    refused = []
    for picture, one in zip(pictures, found, strict=True):
        if one.look is None:
            refused.append(Refused(picture.path, one.fault or "undecodable"))
        elif len(classes[one.sha256]) > 1:
            names = " and ".join(sorted(classes[one.sha256]))
            refused.append(Refused(picture.path, f"the same bytes are labelled {names}"))
        elif one.sha256 in usable:
            refused.append(Refused(picture.path, f"a copy of {usable[one.sha256].path}"))
        else:
            usable[one.sha256] = Picture(picture.path, picture.class_name, picture.part, one.sha256, one.look)
    return list(usable.values()), refused


def _read(cache: Path) -> dict[str, Inspected]:
    if not cache.is_file():
        return {}
    lines = cache.read_text(encoding="utf-8").splitlines()
    return {one.sha256: one for one in (Inspected(**json.loads(line)) for line in lines)}


def _write(cache: Path, known: dict[str, Inspected]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    part = cache.with_suffix(".part")
    part.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in known.values()), encoding="utf-8")
    part.replace(cache)
