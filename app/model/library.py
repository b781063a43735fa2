"""The models there are: those that came with the service, and those that were prepared or trained here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.errors import ModelError, NotPrepared, UnknownModel
from app.model.labels import Label, read_labels
from app.model.manifest import NAME_PATTERN, Manifest, read_manifest
from app.model.store import ModelStore
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Library:
    """Two folders: what came with the service (``models_dir``: manifests and labels, only read), and the store.

    The store (``store_dir``) holds prepared weights, and whole models that were made here; these go before the others.
    """

    models_dir: Path
    store_dir: Path

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(settings.models_dir, settings.store_dir)

    def store(self, name: str) -> ModelStore:
        """A model's folder in the store, whether or not it is there yet."""
        return ModelStore(self.store_dir, name)

    def manifest(self, name: str) -> Manifest:
        """Raises ``UnknownModel`` when there is none of that name, ``ModelError`` when it is not valid."""
        if re.fullmatch(NAME_PATTERN, name):
            for folder in (self.store_dir, self.models_dir):
                path = folder / name / "manifest.json"
                if path.is_file():
                    return read_manifest(path)
        raise UnknownModel(
            f"There is no model {name!r}: no manifest.json in {self.models_dir / name} or {self.store_dir / name}."
        )

    def labels(self, manifest: Manifest) -> tuple[Label, ...]:
        """The classes of a model. Raises ``ModelError`` when its label file is missing or broken."""
        for folder in (self.store_dir / manifest.name, self.models_dir):
            path = folder / manifest.labels
            if path.is_file():
                return read_labels(path)
        raise ModelError(f"Model {manifest.name!r}: its label file {manifest.labels!r} is missing.")

    def prepared(self) -> list[str]:
        """The names of all folders with a receipt, sorted. What is hidden is the store's own business."""
        names = (path.parent.name for path in self.store_dir.glob("*/receipt.json"))
        return sorted(name for name in names if not name.startswith("."))

    def require_prepared(self, name: str) -> None:
        """Raises ``NotPrepared`` with the whole paragraph when a model is not prepared, ``ManifestChanged`` when its
        weights are not those of its manifest, and another ``ModelError`` when something of it cannot be read."""
        store = self.store(name)
        try:
            if not store.is_prepared():
                note = store.read_unavailable()
                reason = note.reason if note else "they have not been prepared yet."
                raise NotPrepared(store.explain_unavailable(reason))
            manifest = self.manifest(name)
            store.read_receipt().check(manifest, self.labels(manifest))
        except OSError as error:
            raise ModelError(f"{error.filename} cannot be read ({error.strerror}).") from error
