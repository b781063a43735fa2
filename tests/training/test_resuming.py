"""Interrupted and resumed, or divided between two processes, a run comes to the same end."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import ROOT
from tests.training.command import command, environment, finetune, history, weights
from tests.training.conftest import BASE

# Everything that a resumed run could get wrong. Batches of 5 of 48 pictures: the last has 3, and uneven shares.
HARD = shlex.split(
    "--augment paper --dropout 0.4 --momentum 0.9 --schedule cosine --batch-size 5 --accumulate 2"
    " --label-smoothing 0.1 --epochs 2"
)


@pytest.fixture(scope="module")
def uninterrupted(tiny_store: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed."""
    store = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(tiny_store / BASE, store / BASE)
    assert finetune(store, pictures, *HARD) == 0
    return store


def kill_when(process: "subprocess.Popen[bytes]", seen: Path, times: int) -> None:
    """SIGKILL once the file has appeared as often."""
    present, count, deadline = False, 0, time.monotonic() + 120
    while count < times and process.poll() is None and time.monotonic() < deadline:
        now = seen.exists()
        count += now and not present
        present = now
    assert process.poll() is None, "it ended before it was killed"
    process.kill()
    process.wait()


@pytest.mark.parametrize(("seen", "times"), [("checkpoint.pt", 1), ("checkpoint.part", 7)])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    uninterrupted: Path, store: Path, pictures: Path, seen: str, times: int
) -> None:
    """In the middle of the first epoch after the first checkpoint, and while a later checkpoint is written."""
    process = subprocess.Popen(
        [sys.executable, *command(pictures, *HARD, "--checkpoint-seconds", "0")],
        cwd=ROOT,
        env=environment(store),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kill_when(process, store / ".training" / "catdog" / seen, times)
    assert not (store / "catdog" / "receipt.json").exists()
    assert (store / ".training" / "catdog" / "checkpoint.pt").exists()
    assert finetune(store, pictures, *HARD, "--resume") == 0
    assert weights(store) == weights(uninterrupted)
    assert history(store) == history(uninterrupted)
    assert not (store / ".training" / "catdog").exists()


def test_interrupted_at_the_keyboard_it_saves_what_it_has(uninterrupted: Path, store: Path, pictures: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, *command(pictures, *HARD, "--checkpoint-seconds", "3600")],
        cwd=ROOT,
        env=environment(store),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    words = ""
    while "Epoch 1/2" not in words:
        words += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130, rest
    assert "--resume" in rest
    assert finetune(store, pictures, *HARD, "--resume") == 0
    assert weights(store) == weights(uninterrupted)
    assert history(store) == history(uninterrupted)


def test_two_processes_learn_what_one_does(uninterrupted: Path, store: Path, pictures: Path) -> None:
    torchrun = shlex.split("-m torch.distributed.run --standalone --nproc-per-node 2")
    result = subprocess.run(
        [sys.executable, *torchrun, *command(pictures, *HARD)],
        cwd=ROOT,
        env=environment(store) | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("catdog is in") == 1
    single, double = history(uninterrupted), history(store)
    for name in ("train_accuracy", "validation_accuracy", "lr"):
        assert [row[name] for row in double] == [row[name] for row in single]
    for one, two in zip(single, double, strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), abs=1e-4)
    manifests = [json.loads((each / "catdog" / "manifest.json").read_text()) for each in (uninterrupted, store)]
    assert manifests[0]["training"]["split_sha256"] == manifests[1]["training"]["split_sha256"]
    assert manifests[0]["training"]["metrics"]["top1"] == manifests[1]["training"]["metrics"]["top1"]


def test_resuming_with_other_settings_is_refused(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.training.steps.measure", give_up)
        assert finetune(store, pictures, "--checkpoint-seconds", "0") == 130
    assert "with --resume to go on" in capsys.readouterr().err
    assert finetune(store, pictures, "--lr", "0.01", "--resume") == 1
    assert "lr was 0.05, is 0.01" in capsys.readouterr().err
    assert finetune(store, pictures, "--resume") == 0


def test_without_a_checkpoint_resuming_begins_at_the_beginning(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures, "--resume", "--epochs", "1") == 0
    assert "There is no checkpoint to resume from" in capsys.readouterr().out
    assert len(history(store)) == 1
