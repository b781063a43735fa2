"""Which images a folder holds and what each shows: Kaggle's flat names, or one folder per class. No guessing."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.errors import ModelError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
# cat.0.jpg, Dog_12.JPEG, cat7.png; but not 1.jpg, ._cat.0.jpg or caterpillar.jpg
FLAT_NAME = re.compile(r"(cat|dog)[._-]?\d+\.(jpe?g|png|webp|bmp)", re.IGNORECASE)
FLAT_RULE = "neither named like cat.N.jpg or dog.N.jpg nor in a class folder"
TRAINING_FOLDER = "train"
VALIDATION_FOLDERS = ("val", "valid", "validation")


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file that should hold an image, and the class that it should show.

    ``path`` is relative to the data folder, with ``/``; ``part`` is set by folders.
    """

    path: str
    class_name: str
    part: str | None = None


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
    a ``val/`` that is then the validation part. Class names are folded to lower case, so that ``Cat/`` and ``cat/`` are
    one. ``excluded`` names files, by path or by name alone.

    Raises ``ModelError`` when there are not at least two classes.
    """
    if not root.is_dir():
        raise ModelError(f"There is no folder {root}.")
    unwanted = frozenset(excluded)
    files: list[LabelledFile] = []
    refused: list[Refused] = []
    for part, folder in _parts(root):
        for path in _files(folder):
            relative = path.relative_to(root).as_posix()
            found = _label(PurePosixPath(path.relative_to(folder).as_posix()), relative, part)
            if isinstance(found, LabelledFile) and unwanted & {relative, path.name}:
                found = Refused(relative, "on the --exclude list")
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


def _parts(root: Path) -> list[tuple[str | None, Path]]:
    """The folders to read: ``root`` itself, or ``train/`` in it with a ``val/`` where there is one."""
    training = root / TRAINING_FOLDER
    if not training.is_dir():
        return [(None, root)]
    validation = [root / name for name in VALIDATION_FOLDERS if (root / name).is_dir()]
    if not validation:
        return [(None, training)]
    return [("train", training), *(("validation", folder) for folder in validation)]


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names))


def _label(inside: PurePosixPath, relative: str, part: str | None) -> LabelledFile | Refused:
    if inside.name.startswith("."):
        return Refused(relative, "a hidden file")
    if inside.suffix.lower() not in SUFFIXES:
        return Refused(relative, f"not one of {', '.join(sorted(SUFFIXES))}")
    if len(inside.parts) > 1:
        return LabelledFile(relative, inside.parts[0].casefold(), part)
    flat = FLAT_NAME.fullmatch(inside.name)
    return LabelledFile(relative, flat.group(1).lower(), part) if flat else Refused(relative, FLAT_RULE)
