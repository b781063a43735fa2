"""Files that are whole or not there, known by their digests."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from app.errors import ModelError

HASH_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path, progress: Callable[[int], object] = lambda _: None) -> str:
    """Hex SHA-256 of a file; ``progress`` hears of each chunk's size in bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
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
