"""Every file is fully decoded once before anything is trained; what was found is remembered by content."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import ServiceError
from app.image.reader import Reader
from app.model.files import disk_errors
from app.training.ahead import map_ahead
from app.training.data import Folder, LabelledFile, Listing, Refused
from app.training.looks import Look
from app.training.terminal import progress_bar

CACHE = "looks.jsonl"


@dataclass(frozen=True, slots=True)
class Inspection:
    """Of one file's bytes. Without a ``look`` there is a ``fault``; those are not remembered, since another limit or
    another decoder may find none."""

    sha256: str
    pixels: int
    look: Look | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class UsableImage:
    """An image that can be decoded, known by its content."""

    path: str
    class_name: str
    part: Folder | None
    sha256: str
    look: Look


def inspect(
    listing: Listing, cache: Path, reader: Reader, max_pixels: int, workers: int
) -> tuple[list[UsableImage], list[Refused]]:
    """The usable images, and those left out: undecodable ones, copies, and copies that are labelled differently.

    Of files with the same bytes the first stays, so that no image can lie on both sides of a split; when their labels
    differ none stays, since one of them must be wrong.
    """
    known = _read(cache)

    def look_at(file: LabelledFile) -> Inspection:
        try:
            data = (listing.root / file.path).read_bytes()
        except OSError as error:  # a link that leads nowhere, or a file that is somebody else's
            return Inspection(f"unread {file.path}", 0, None, f"cannot be read ({error.strerror})")
        sha256 = hashlib.sha256(data).hexdigest()
        seen = known.get(sha256)
        return seen if seen and seen.pixels <= max_pixels else _decode(data, sha256, reader)

    found = []
    with progress_bar("Decoding every file once", len(listing.files), "file") as bar:
        for one in map_ahead(look_at, listing.files, workers, 4 * workers):
            found.append(one)
            bar.update()
    if any(one.look and one.sha256 not in known for one in found):
        with disk_errors(cache):
            _write(cache, known | {one.sha256: one for one in found if one.look})
    return _sort_out(listing.files, found)


def _decode(data: bytes, sha256: str, reader: Reader) -> Inspection:
    try:
        image = reader.photograph(data)
    except ServiceError as error:
        return Inspection(sha256, 0, None, error.detail)
    return Inspection(sha256, image.width * image.height, Look.of(image))


def _sort_out(files: Sequence[LabelledFile], found: Sequence[Inspection]) -> tuple[list[UsableImage], list[Refused]]:
    classes: dict[str, set[str]] = {}
    for file, one in zip(files, found, strict=True):
        classes.setdefault(one.sha256, set()).add(file.class_name)
    usable: dict[str, UsableImage] = {}
    refused = []
    for file, one in zip(files, found, strict=True):
        if one.look is None:
            refused.append(Refused(file.path, one.fault))
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
    lines = map(json.loads, cache.read_text(encoding="utf-8").splitlines())
    return {sha256: Inspection(sha256, pixels, Look.parse(look)) for sha256, pixels, look in lines}


def _write(cache: Path, known: dict[str, Inspection]) -> None:
    """Under a name of this process's own first: several may have inspected the same folder."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=cache.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.writelines(f"{json.dumps([one.sha256, one.pixels, str(one.look)])}\n" for one in known.values())
    Path(file.name).replace(cache)
