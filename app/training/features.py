"""The frozen side's output for every image, computed once and kept in memory-mapped files.

A cache is a folder for one frozen side (weights, cut, preprocessing); rows are found by the image's digest. Each
process appends to a shard of its own: first the rows, synced, then their digests, so that a run that is killed leaves
rows nobody names, never a name without its row.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from app.image.views import Pixels
from app.model.files import disk_errors
from app.training.cut import Frozen

Rows = NDArray[np.float32]
DIGEST_LINE = 65  # 64 hexadecimal digits and a line end
VALUE_BYTES = 4


def cache_key(**facts: object) -> str:
    """A folder name for everything that decides what a row holds."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class FeatureCache:
    """Rows of fp32 values by image digest, all of one shape (without the batch)."""

    def __init__(self, folder: Path, shape: Sequence[int]) -> None:
        self.folder = folder
        self.shape = tuple(shape)
        self.width = int(np.prod(self.shape))
        self._shards: dict[int, Rows] = {}
        self._places: dict[str, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def refresh(self) -> None:
        """See what other processes have added."""
        self._places.clear()
        for names in sorted(self.folder.glob("*.digests")):
            shard = int(names.stem)
            digests = _read_digests(names)
            if not digests:
                continue
            rows = self.folder / f"{shard}.rows"
            self._shards[shard] = np.memmap(rows, np.float32, "r", shape=(len(digests), self.width))
            self._places |= {digest: (shard, row) for row, digest in enumerate(digests)}

    def missing(self, digests: Iterable[str]) -> list[str]:
        return [digest for digest in dict.fromkeys(digests) if digest not in self._places]

    def read(self, digests: Sequence[str]) -> Tensor:
        """fp32 (N, *shape), a copy."""
        batch = np.empty((len(digests), self.width), np.float32)
        for row, digest in enumerate(digests):
            shard, place = self._places[digest]
            batch[row] = self._shards[shard][place]
        return torch.from_numpy(batch).view(len(digests), *self.shape)

    def append(self, shard: int, batches: Iterator[tuple[Sequence[str], Rows]]) -> None:
        """Add rows, batch by batch."""
        names, rows = self.folder / f"{shard}.digests", self.folder / f"{shard}.rows"
        whole = len(_read_digests(names)) if names.is_file() else 0
        # Unbuffered: what a full disk did not take must not be tried again when the file is closed.
        with disk_errors(rows), names.open("ab", 0) as names_file, rows.open("ab", 0) as rows_file:
            names_file.truncate(whole * DIGEST_LINE)
            rows_file.truncate(whole * self.width * VALUE_BYTES)
            for digests, values in batches:
                with disk_errors(rows):
                    rows_file.write(np.ascontiguousarray(values, np.float32).tobytes())
                    _sync(rows_file)
                    names_file.write("".join(f"{digest}\n" for digest in digests).encode())
                    _sync(names_file)


def _read_digests(path: Path) -> list[str]:
    data = path.read_bytes()
    return data[: len(data) // DIGEST_LINE * DIGEST_LINE].decode().split()


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and every bit: of what really computes, whatever it is called."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def feature_shape(frozen: Frozen, crop: int, device: torch.device) -> tuple[int, ...]:
    """The shape of one image's features."""
    gray = torch.full((1, 3, crop, crop), 127, dtype=torch.uint8, device=device)
    return tuple(frozen(gray).shape[1:])


def compute_rows(
    frozen: Frozen,
    digests: Sequence[str],
    images: Iterator[Pixels],
    *,
    batch_size: int,
    device: torch.device,
    bar: "tqdm[None]",
) -> Iterator[tuple[Sequence[str], Rows]]:
    """Run the frozen side over images (views, crop, crop, 3) each, in batches; the views' features lie in one row."""
    for start in range(0, len(digests), batch_size):
        some = digests[start : start + batch_size]
        batch = np.concatenate([next(images) for _ in some])
        features = frozen(torch.from_numpy(batch).permute(0, 3, 1, 2).to(device))
        yield some, features.float().cpu().numpy().reshape(len(some), -1)
        bar.update(len(some))
