"""Files that are whole or not there, known by their digests."""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel

from app.errors import ModelError

HASH_CHUNK_BYTES = 1 << 20
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # <fcntl.h> and <linux/fs.h>


def sha256_of(path: Path, progress: Callable[[int], object] = lambda _: None) -> str:
    """Hex SHA-256 of a file; ``progress`` hears of each chunk's size in bytes."""
    with path.open("rb") as file:
        return sha256_of_open(file, progress)


def sha256_of_open(file: BinaryIO, progress: Callable[[int], object] = lambda _: None) -> str:
    """The same, of a file that is open and stays so: whoever goes on reading it reads what was hashed."""
    digest = hashlib.sha256()
    while chunk := file.read(HASH_CHUNK_BYTES):
        digest.update(chunk)
        progress(len(chunk))
    return digest.hexdigest()


def write_atomically(path: Path, content: BaseModel | dict[str, object]) -> None:
    """Write JSON so that a reader, or a crash, sees the old file or the new one and nothing between."""
    data = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)


def copy_atomically(source: Path, path: Path) -> None:
    """A copy that is whole or not there; whoever has the old file open or mapped keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        source.open("rb") as original,
        tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as copy,
    ):
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())
    Path(copy.name).chmod(0o644)
    os.replace(copy.name, path)


def exchange(one: Path, other: Path) -> None:
    """Let two folders of one disk swap their names in one step, so that there is always one under each.

    On systems that have no such step it takes three, and for a moment there is none.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        if renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):  # what file systems say that cannot do it
            raise OSError(number, os.strerror(number), str(one), None, str(other))
    aside = one.with_name(f"{one.name}.aside")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def replace_folder(staged: Path, folder: Path, previous: Path) -> None:
    """Put a whole folder in a place, and what was there into ``previous``; there is one at every moment."""
    if not folder.exists():
        staged.rename(folder)
        return
    exchange(staged, folder)
    shutil.rmtree(previous, ignore_errors=True)
    previous.parent.mkdir(exist_ok=True)
    staged.rename(previous)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """A full or unwritable disk as an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ModelError(f"The disk of {path.parent} is full; make room and run the same command again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ModelError(f"{path.parent} cannot be written to ({error.strerror}).") from error
        raise
