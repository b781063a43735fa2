"""The state of a run on disk: whole or not there, and only for the run it belongs to."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from app.errors import ModelError
from app.model.files import disk_errors

State = dict[str, Any]


class CheckpointFile:
    """One file, replaced atomically. ``fingerprint`` is everything that a resumed run must have in common with it."""

    def __init__(self, path: Path, fingerprint: dict[str, str]) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def write(self, state: State) -> None:
        """The old state stays until the new one is on the disk in full."""
        part = self.path.with_suffix(".part")
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save({"fingerprint": self.fingerprint} | state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)

    def read(self) -> State | None:
        """The state, or ``None`` where there is none. Raises ``ModelError`` when it belongs to another run."""
        if not self.path.is_file():
            return None
        try:
            state: State = torch.load(self.path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ModelError(f"{self.path} cannot be read: remove it, and train from the beginning.") from error
        other = state["fingerprint"]
        differing = [name for name in self.fingerprint | other if self.fingerprint.get(name) != other.get(name)]
        if differing:
            was = ", ".join(f"{name} was {other.get(name)}, is {self.fingerprint.get(name)}" for name in differing)
            raise ModelError(f"The interrupted run had other settings and cannot be resumed ({was}).")
        return state

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".part").unlink(missing_ok=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()
