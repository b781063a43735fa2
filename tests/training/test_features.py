import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from app.training.features import FeatureCache, Rows, cache_key, tensors_digest
from tests.running import ROOT

SHAPE = (2, 3)


def digests(count: int, start: int = 0) -> list[str]:
    return [f"{number:064x}" for number in range(start, start + count)]


def batches(names: Sequence[str], size: int = 2) -> Iterator[tuple[Sequence[str], Rows]]:
    for start in range(0, len(names), size):
        some = names[start : start + size]
        yield some, np.stack([np.full(6, int(name, 16) + 0.25, np.float32) for name in some])


def test_rows_are_found_by_digest_whichever_process_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "7.digests").touch()  # of a process that was killed before its first row
    cache = FeatureCache(tmp_path, SHAPE)
    assert cache.missing(digests(5)) == digests(5)
    cache.append(0, batches(digests(3)))
    cache.append(1, batches(digests(2, 3)))
    cache.refresh()
    assert cache.missing(digests(6)) == digests(1, 5)
    rows = FeatureCache(tmp_path, SHAPE).read([digests(5)[4], digests(5)[0]])
    assert rows.shape == (2, 2, 3)
    assert torch.equal(rows[:, 0, 0], torch.tensor([4.25, 0.25]))


@pytest.mark.parametrize("lost", ["between rows and digests", "inside a digest", "inside a row"])
def test_a_run_that_was_killed_while_it_wrote_loses_only_the_last_rows(tmp_path: Path, lost: str) -> None:
    cache = FeatureCache(tmp_path, SHAPE)
    cache.append(0, batches(digests(4)))
    names, rows = tmp_path / "0.digests", tmp_path / "0.rows"
    if lost == "inside a digest":
        names.write_bytes(names.read_bytes()[:-20])
    elif lost == "inside a row":
        rows.write_bytes(rows.read_bytes() + b"\1" * 13)
    else:
        rows.write_bytes(rows.read_bytes() + b"\1" * 24)
    again = FeatureCache(tmp_path, SHAPE)
    missing = again.missing(digests(6))
    assert missing == (digests(3, 3) if lost == "inside a digest" else digests(2, 4))
    again.append(0, batches(missing))
    again.refresh()
    assert torch.equal(again.read(digests(6))[:, 1, 2], torch.arange(6) + 0.25)


def test_other_weights_have_another_cache() -> None:
    assert cache_key(tensors="a", cut="head") != cache_key(tensors="b", cut="head")
    assert cache_key(tensors="a", cut="head") == cache_key(cut="head", tensors="a")


def test_a_digest_is_of_names_shapes_and_every_bit() -> None:
    tensors = {"a": torch.arange(6.0), "b": torch.zeros(2, dtype=torch.int64)}
    same = {"b": torch.zeros(2, dtype=torch.int64), "a": torch.arange(6.0).clone()}
    assert tensors_digest(tensors) == tensors_digest(same)
    others = [tensors | {"a": torch.arange(6.0).view(2, 3)}, tensors | {"b": torch.zeros(2)}, {"c": tensors["a"]}]
    others.append(tensors | {"a": torch.nextafter(tensors["a"], torch.tensor(9.0))})
    assert len({tensors_digest(one) for one in (tensors, *others)}) == 5


def test_a_full_disk_is_one_clear_line_and_what_was_written_stays(tmp_path: Path) -> None:
    """A real limit of the system stands for the disk's."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from app.errors import ModelError\n"
        "from tests.training.test_features import FeatureCache, batches, digests\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (120, 120))\n"
        f"cache = FeatureCache(Path({str(tmp_path)!r}), (2, 3))\n"
        "try: cache.append(0, batches(digests(40)))\n"
        "except ModelError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "is full; make room" in done.stdout, done.stderr
    again = FeatureCache(tmp_path, SHAPE)
    assert 0 < len(digests(40)) - len(again.missing(digests(40))) < 6
    again.append(0, batches(again.missing(digests(40))))
    again.refresh()
    assert torch.equal(again.read(digests(40))[:, 1, 2], torch.arange(40) + 0.25)
