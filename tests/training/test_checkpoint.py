from pathlib import Path

import pytest
import torch

from app.errors import ModelError
from app.training.checkpoint import CheckpointFile


def file(folder: Path, **fingerprint: str) -> CheckpointFile:
    return CheckpointFile(folder / "run" / "checkpoint.pt", fingerprint)


def test_what_is_written_is_read_and_then_gone(tmp_path: Path) -> None:
    checkpoint = file(tmp_path, lr="0.1")
    assert checkpoint.read() is None
    checkpoint.write({"step": 3, "tensors": {"a": torch.arange(3)}})
    state = file(tmp_path, lr="0.1").read()
    assert state is not None
    assert state["step"] == 3
    assert state["tensors"]["a"].tolist() == [0, 1, 2]
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []
    checkpoint.remove()


def test_a_write_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    checkpoint = file(tmp_path)
    checkpoint.write({"step": 1})
    with pytest.raises((AttributeError, TypeError)):
        checkpoint.write({"step": 2, "unwritable": lambda: None})
    state = checkpoint.read()
    assert state is not None
    assert state["step"] == 1


def test_a_folder_with_something_else_in_it_stays(tmp_path: Path) -> None:
    checkpoint = file(tmp_path)
    checkpoint.write({})
    (tmp_path / "run" / "staged").mkdir()
    checkpoint.remove()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["staged"]


def test_another_runs_state_is_refused_with_what_differs(tmp_path: Path) -> None:
    file(tmp_path, lr="0.1", seed="1").write({})
    with pytest.raises(ModelError, match=r"\(lr was 0.1, is 0.2\)"):
        file(tmp_path, lr="0.2", seed="1").read()
    with pytest.raises(ModelError, match="augment was None, is paper"):
        file(tmp_path, lr="0.1", seed="1", augment="paper").read()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\3\4 half of one"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    checkpoint = file(tmp_path)
    checkpoint.write({})
    checkpoint.path.write_bytes(content)
    with pytest.raises(ModelError, match=r"checkpoint\.pt cannot be read: remove it"):
        checkpoint.read()
