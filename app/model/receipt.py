"""What vouches for prepared weights: what they were made from, and for which manifest. No torch in here."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.errors import ManifestChanged
from app.model.labels import Label
from app.model.manifest import Manifest, WeightsOrigin

# Fields of a manifest that may change without its weights having to be made again: these still are what it names.
RENEWABLE = frozenset({"version", "preprocessing", "temperature", "classes", "known"})
TIED = ("version", "architecture", "preprocessing", "temperature", "base", "training")


class Receipt(BaseModel):
    """What was prepared, from what, and when. Written last: weights without a receipt are not prepared.

    Fields that a later version has added are ignored, so that one can go back to this one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str
    source_sha256: str
    source_size_bytes: int
    source_check: Literal["sha256", "sha256_prefix", "none"]
    weights_sha256: str
    weights_size_bytes: int
    prepared_at: datetime
    torch_version: str
    manifest_sha256: dict[str, str] = {}
    """As ``meaning_of`` gives it. Empty in what 0.1.0 prepared: there only the weights' origin is compared."""
    best_batch_size: dict[str, int] = {}
    """Measured: the kind of device, as ``network.device_kind`` names it -> images per forward."""
    best_engine: dict[str, str] = {}
    """Measured: the kind of processor, as ``network.processor_kind`` names it -> who computes the trunk."""

    def is_of(self, origin: WeightsOrigin) -> bool:
        """Whether these weights were made from the file that a manifest names."""
        return self.source_sha256 == origin.sha256 if origin.sha256 else self.source == origin.source

    def changed(self, manifest: Manifest, labels: Sequence[Label]) -> set[str]:
        """What the manifest says otherwise than when the weights were prepared."""
        if not self.manifest_sha256:
            return set()
        now = meaning_of(manifest, labels)
        return {name for name in now | self.manifest_sha256 if now.get(name) != self.manifest_sha256.get(name)}

    def check(self, manifest: Manifest, labels: Sequence[Label]) -> None:
        """Raises ``ManifestChanged``, with the command that mends it, when weights and manifest do not belong
        together."""
        if not self.is_of(manifest.weights):
            raise ManifestChanged(
                f"The manifest of {manifest.name!r} names other weights than those that are prepared: it says "
                f"{_described(manifest.weights)}, they were made from {self.source} (SHA-256 {self.source_sha256}). "
                f"{self.how_again(manifest.name)}"
            )
        if changed := self.changed(manifest, labels):
            again = f"If it is right: scripts/prepare_model.py {manifest.name}"
            raise ManifestChanged(
                f"The manifest of {manifest.name!r} has changed since its weights were prepared: "
                f"{', '.join(sorted(changed))}. {again if changed <= RENEWABLE else self.how_again(manifest.name)}"
            )

    def how_again(self, name: str) -> str:
        """The sentence that says how weights like these are made anew."""
        if self.source.startswith("training:"):
            return (
                f"Train it again: scripts/finetune.py --name {name} …, "
                "or install its export again: scripts/prepare_model.py --install DIR"
            )
        return f"Prepare it again: scripts/prepare_model.py {name} --force"


def meaning_of(manifest: Manifest, labels: Sequence[Label]) -> dict[str, str]:
    """A digest of each part of a manifest that decides what its weights mean.

    Where they came from is compared for itself (``is_of``), and the name, the licence and the label file's place are
    free. Of the labels the classes count and not their wording: a translation may be mended, two classes not swapped.
    What has its default is left out, so that a field which is added later changes nothing.
    """
    said = manifest.model_dump(mode="json", exclude_defaults=True)
    parts = {name: said.get(name) for name in TIED}
    parts["tensor_names"] = manifest.weights.tensor_names
    if "known" in said:  # an added field: what was prepared before it has no digest of it
        parts["known"] = said["known"]
    parts["classes"] = [label.wnid or label.label_en for label in labels]
    return {name: _digest(value) for name, value in parts.items()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _described(origin: WeightsOrigin) -> str:
    return f"SHA-256 {origin.sha256}" if origin.sha256 else origin.source
