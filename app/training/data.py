"""Which images a folder holds and what each shows: Kaggle's flat names, or one folder per class. No guessing."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from app.errors import ModelError

# What the service reads (``app/image/formats.py``), by the names that such files have.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
# cat.0.jpg, Dog_12.JPEG, cat7.png; but not 1.jpg, ._cat.0.jpg or caterpillar.jpg
FLAT_NAME = re.compile(r"(cat|dog)[._-]?\d+\.[a-z]+", re.IGNORECASE)
FLAT_RULE = "neither named like cat.N.jpg or dog.N.jpg nor in a class folder"
Folder = Literal["train", "validation", "test"]
FOLDERS: dict[str, Folder] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file that should hold an image, and the class that it should show.

    ``path`` is relative to the data folder, with ``/``; ``part`` is set by the folders ``train``, ``val`` and ``test``;
    a ``train`` without a ``val`` is still to be divided.
    """

    path: str
    class_name: str
    part: Folder | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    root: Path
    files: tuple[LabelledFile, ...]
    refused: tuple[Refused, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({image.class_name for image in self.files}))


def list_images(root: Path, excluded: Iterable[str] = ()) -> Listing:
    """Every image under ``root`` with its class, in an order that does not depend on the file system.

    Layouts: ``cat.0.jpg``, ``dog.0.jpg`` in one folder, or ``CLASS/any-name.jpg``; either may lie in ``train/``, beside
    a ``val/`` and a ``test/``, in any case of letters. Class names are folded to lower case, so that ``Cat/`` and
    ``cat/`` are one. Links are followed. ``excluded`` names files, by path or by name alone.

    Raises ``ModelError`` when there are not at least two classes.
    """
    if not root.is_dir():
        raise ModelError(f"There is no folder {root}.")
    unwanted = frozenset(excluded)
    files: list[LabelledFile] = []
    refused: list[Refused] = []
    parts = _parts(root)
    for path in _files(root):
        found = _label(PurePosixPath(path.relative_to(root).as_posix()), parts)
        if isinstance(found, LabelledFile) and unwanted & {found.path, path.name}:
            found = Refused(found.path, "on the --exclude list")
        if isinstance(found, LabelledFile):
            files.append(found)
        else:
            refused.append(found)
    listing = Listing(root, tuple(sorted(files, key=lambda one: one.path)), tuple(refused))
    if len(listing.classes) < 2:
        counts = f"{len(files)} images of {len(listing.classes)} classes and {len(refused)} other files"
        first = f" (such as {refused[0].path}: {refused[0].reason})" if refused else ""
        raise ModelError(f"{root} has {counts}{first}; at least two classes are needed.")
    return listing


def read_exclusions(path: Path | None) -> list[str]:
    """One file per line; ``#`` begins a comment (the place for the reason)."""
    if path is None:
        return []
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _parts(root: Path) -> dict[str, Folder]:
    """The folders of ``root`` that say what their images are for, by name; none unless one of them is for training.

    A class may be called "test": beside other classes it is one.
    """
    found = {path.name: FOLDERS[path.name.casefold()] for path in root.iterdir() if _is_part(path)}
    return found if "train" in found.values() else {}


def _is_part(path: Path) -> bool:
    return path.name.casefold() in FOLDERS and path.is_dir()


def _files(root: Path) -> Iterator[Path]:
    """Every file, linked ones and those in linked folders included; no folder twice on one way down."""
    for parent, folders, names in os.walk(root, followlinks=True):
        above = {path.resolve() for path in (Path(parent), *Path(parent).parents)}
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(parent, name).resolve() not in above
        )
        yield from (Path(parent, name) for name in sorted(names))


def _label(path: PurePosixPath, parts: Mapping[str, Folder]) -> LabelledFile | Refused:
    """What a file shows, by its path from the root."""
    relative, inside, part = str(path), path, None
    if parts:
        part = parts.get(path.parts[0]) if len(path.parts) > 1 else None
        if part is None:
            return Refused(relative, f"beside {' and '.join(sorted(parts))}, in none of them")
        inside = path.relative_to(path.parts[0])
        if part == "train" and "validation" not in parts.values():
            part = None
    if inside.name.startswith("."):
        return Refused(relative, "a hidden file")
    if inside.suffix.lower() not in SUFFIXES:
        return Refused(relative, f"not one of {', '.join(sorted(SUFFIXES))}")
    if len(inside.parts) > 1:
        return LabelledFile(relative, inside.parts[0].casefold(), part)
    flat = FLAT_NAME.fullmatch(inside.name)
    return LabelledFile(relative, flat.group(1).lower(), part) if flat else Refused(relative, FLAT_RULE)
