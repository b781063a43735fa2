"""What lies in the store: each prepared model's weights, and a receipt that vouches for them. No torch in here."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock
from filelock import Timeout as LockTimeout
from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ModelError, WeightsInvalid
from app.model.files import disk_errors, sha256_of_open
from app.model.receipt import Receipt

PREVIOUS = ".previous"  # in the store: what each model replaced, to go back to


class Unavailable(BaseModel):
    """A note that the weights could not be obtained, so that the next start does not wait for the network again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    tried_at: datetime


class ModelStore:
    """One model's folder in the store."""

    def __init__(self, store_dir: Path, name: str) -> None:
        self.folder = store_dir / name
        self.weights = self.folder / "weights.safetensors"
        self.receipt = self.folder / "receipt.json"
        self.unavailable = self.folder / "unavailable.json"
        self.manifest = self.folder / "manifest.json"
        self.lock = store_dir / f".{name}.lock"

    def is_prepared(self) -> bool:
        """Whether there are weights with a receipt. Their digest is checked when they are loaded."""
        return self.receipt.is_file() and self.weights.is_file()

    def read_receipt(self) -> Receipt:
        """Raises ``WeightsInvalid`` when it cannot be read."""
        try:
            return Receipt.model_validate_json(self.receipt.read_bytes())
        except (OSError, ValidationError) as error:
            raise WeightsInvalid(
                f"{self.receipt} cannot be read; prepare the model again: "
                f"scripts/prepare_model.py {self.folder.name} --force"
            ) from error

    def read_unavailable(self) -> Unavailable | None:
        try:
            return Unavailable.model_validate_json(self.unavailable.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            return Unavailable(reason="an earlier attempt failed", tried_at=datetime.min.replace(tzinfo=UTC))

    @contextmanager
    def open_weights(self) -> Iterator[tuple[Receipt, BinaryIO]]:
        """The receipt and the open weights, after reading them once to see that they are what it vouches for.

        Whatever takes their place under this name meanwhile, the open file is what was compared. Raises
        ``WeightsInvalid`` when they are something else.
        """
        receipt = self.read_receipt()
        try:
            file = self.weights.open("rb")
        except OSError as error:
            raise WeightsInvalid(f"{self.weights} cannot be read ({error.strerror}).") from error
        with file:
            digest = sha256_of_open(file)
            if digest != receipt.weights_sha256:
                raise WeightsInvalid(
                    f"{self.weights} is damaged: its SHA-256 is {digest}, its receipt says {receipt.weights_sha256}. "
                    f"{receipt.how_again(self.folder.name)}"
                )
            yield receipt, file

    @contextmanager
    def locked(self, patience_s: float = 0) -> Iterator[None]:
        """One writer at a time: two would write the same files. The lock lies beside the folder, which may be
        exchanged while it is held."""
        try:
            with disk_errors(self.lock):
                self.lock.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(self.lock, timeout=patience_s):
                    yield
        except LockTimeout as error:
            raise ModelError(f"Another process is preparing {self.folder.name!r} now.") from error

    def explain_unavailable(self, reason: str) -> str:
        """The paragraph for an operator when the weights are missing: what happened, and what to do."""
        name = self.folder.name
        return (
            f"The weights of {name!r} are missing: {reason}\n"
            f"To supply the file yourself, fetch it on a machine with a network and run\n"
            f"    scripts/prepare_model.py {name} --from-file PATH\n"
            f"To try the download again, run scripts/prepare_model.py {name} or scripts/serve --retry. "
            f"Prepared weights go to {self.folder}."
        )
