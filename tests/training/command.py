"""The trainer as users run it, with the small network's head, and what it leaves."""

import csv
import hashlib
from pathlib import Path

import pytest

from app.model.store import ModelStore
from app.training.finetune import main
from tests.running import clean_environment
from tests.training.conftest import BASE

EPOCHS = ["--epochs", "4", "--lr", "0.05", "--patience", "0"]


def finetune(store: Path, data: Path, *arguments: str) -> int:
    """The script's main, in this process: importing torch anew takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG_STORE_DIR", str(store))
        patch.setenv("VGG_DEVICE", "cpu")
        try:
            return main("", ["--data", str(data), "--base", BASE, "--train", "head", *EPOCHS, *arguments])
        except SystemExit as end:
            return int(end.code or 0)


def command(data: Path, *arguments: str) -> list[str]:
    return ["scripts/finetune.py", "--data", str(data), "--base", BASE, "--train", "head", *EPOCHS, *arguments]


def environment(store: Path) -> dict[str, str]:
    return clean_environment() | {"VGG_STORE_DIR": str(store), "VGG_DEVICE": "cpu"}


def weights(store: Path, name: str = "catdog") -> str:
    return hashlib.sha256(ModelStore(store, name).weights.read_bytes()).hexdigest()


def history(store: Path, name: str = "catdog") -> list[dict[str, str]]:
    """metrics.csv without what depends on the clock."""
    with (store / name / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]
