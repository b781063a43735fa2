"""Files that are whole or not there."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from app.errors import ModelError
from app.model.files import HASH_CHUNK_BYTES, copy_atomically, disk_errors, exchange, sha256_of, write_atomically
from app.model.manifest import read_manifest
from tests.dummy import MODELS


def test_a_digest_of_any_size_and_how_far_it_is(tmp_path: Path) -> None:
    content = os.urandom(2 * HASH_CHUNK_BYTES + 5)
    (tmp_path / "file").write_bytes(content)
    seen: list[int] = []
    assert sha256_of(tmp_path / "file", seen.append) == hashlib.sha256(content).hexdigest()
    assert seen == [HASH_CHUNK_BYTES, HASH_CHUNK_BYTES, 5]


def test_json_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.json"
    write_atomically(path, {"label": "猫"})
    write_atomically(path, {"label": "狗"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"label": "狗"}
    assert "狗" in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o644  # whoever serves need not be who prepared
    assert [one.name for one in path.parent.iterdir()] == ["note.json"]


def test_a_model_comes_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = read_manifest(MODELS / "vgg16" / "manifest.json")
    write_atomically(tmp_path / "vgg16" / "manifest.json", manifest)
    assert read_manifest(tmp_path / "vgg16" / "manifest.json") == manifest


def test_what_cannot_be_written_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_atomically(path, {"old": True})
    with pytest.raises(TypeError):
        write_atomically(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": True}


def test_a_copy_leaves_the_old_file_to_whoever_has_it_open(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    path = tmp_path / "deep" / "file"
    copy_atomically(tmp_path / "source", path)
    with path.open("rb") as old:
        (tmp_path / "source").write_bytes(b"newer")
        copy_atomically(tmp_path / "source", path)
        assert old.read() == b"new"
    assert path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("how", ["in one step", "unknown to the system", "unknown to the file system"])
def test_two_folders_change_places(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if how == "unknown to the system":
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    elif how == "unknown to the file system":
        monkeypatch.setattr("app.model.files.RENAME_EXCHANGE", 1 << 20)  # no such flag: EINVAL
    exchange(tmp_path / "one", tmp_path / "other")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*/*")) == ["one/other", "other/one"]
    assert len(list(tmp_path.iterdir())) == 2


def test_there_is_nothing_to_change_places_with(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one").is_dir()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "cannot be written to"),
        (errno.EACCES, "cannot be written to"),
    ],
)
def test_what_a_disk_says_is_said_in_words(number: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said), disk_errors(tmp_path / "file"):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), disk_errors(tmp_path / "file"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
