"""What lies in the store: each prepared model's weights, and a receipt that vouches for them. No torch in here."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import WeightsInvalid
from app.model.files import sha256_of


class Receipt(BaseModel):
    """What was prepared, from what, and when. Written last: weights without a receipt are not prepared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    source_sha256: str
    source_size_bytes: int
    source_check: Literal["sha256", "sha256_prefix", "none"]
    weights_sha256: str
    weights_size_bytes: int
    prepared_at: datetime
    torch_version: str
    best_batch_size: dict[str, int] = {}
    """Measured: the kind of device, as ``network.device_kind`` names it -> images per forward."""


class Unavailable(BaseModel):
    """A note that the weights could not be had, so that the next start does not wait for the network again."""

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
        self.lock = self.folder / ".lock"

    def is_prepared(self) -> bool:
        """Whether there are weights with a receipt. Their digest is checked when they are loaded."""
        return self.receipt.is_file() and self.weights.is_file()

    def read_receipt(self) -> Receipt:
        """Raises ``WeightsInvalid`` when it cannot be read."""
        try:
            return Receipt.model_validate_json(self.receipt.read_bytes())
        except (OSError, ValidationError) as error:
            raise WeightsInvalid(f"{self.receipt} cannot be read; prepare the model again.") from error

    def read_unavailable(self) -> Unavailable | None:
        try:
            return Unavailable.model_validate_json(self.unavailable.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            return Unavailable(reason="an earlier attempt failed", tried_at=datetime.min.replace(tzinfo=UTC))

    def check_weights(self) -> Receipt:
        """The receipt, after reading the weights once to see that they are what it vouches for.

        Raises ``WeightsInvalid`` when they are not.
        """
        receipt = self.read_receipt()
        digest = sha256_of(self.weights)
        if digest != receipt.weights_sha256:
            raise WeightsInvalid(
                f"{self.weights} is damaged: its SHA-256 is {digest}, its receipt says {receipt.weights_sha256}. "
                f"{_how_again(receipt, self.folder.name)}"
            )
        return receipt

    def explain_unavailable(self, reason: str) -> str:
        """The paragraph for an operator when the weights are not there: what happened, and what to do."""
        name = self.folder.name
        return (
            f"The weights of {name!r} are not there: {reason}\n"
            f"To supply the file yourself, fetch it on a machine with a network and run\n"
            f"    scripts/prepare_model.py {name} --from-file PATH\n"
            f"To try the download again, run scripts/prepare_model.py {name} or scripts/serve --retry. "
            f"Prepared weights go to {self.folder}."
        )


def _how_again(receipt: Receipt, name: str) -> str:
    if receipt.source.startswith("training:"):
        return f"Train it again: scripts/finetune.py --name {name} …"
    return f"Prepare it again: scripts/prepare_model.py {name} --force"
