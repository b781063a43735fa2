"""Models that lie in a store as if they had been prepared."""

from pathlib import Path

from app.model.files import sha256_of, write_atomically
from app.model.labels import read_labels
from app.model.manifest import Manifest, WeightsOrigin, read_manifest
from app.model.receipt import Receipt, meaning_of
from app.model.store import ModelStore
from tests.dummy import MODELS

LABELS = read_labels(MODELS / "labels" / "imagenet1k.csv")


def put_model(store_dir: Path, name: str, **fields: object) -> Manifest:
    """A model with its manifest, weights that nobody reads and the receipt that belongs to them; ``fields`` of the
    manifest."""
    store = ModelStore(store_dir, name)
    store.folder.mkdir()
    store.weights.write_bytes(b"weights")
    shipped = read_manifest(MODELS / "vgg16" / "manifest.json").model_dump()
    own: dict[str, object] = {"weights": WeightsOrigin(source="file:net.pth")}
    manifest = Manifest.model_validate(shipped | own | fields).model_copy(update={"name": name})  # any name at all
    write_atomically(store.manifest, manifest)
    write_atomically(store.receipt, receipt_for(store, manifest))
    return manifest


def receipt_for(store: ModelStore, manifest: Manifest) -> Receipt:
    return Receipt.model_validate(
        {
            "source": manifest.weights.source,
            "source_sha256": manifest.weights.sha256 or "0" * 64,
            "source_size_bytes": 7,
            "source_check": "none",
            "weights_sha256": sha256_of(store.weights),
            "weights_size_bytes": 7,
            "prepared_at": "2026-01-02T00:00:00Z",
            "torch_version": "2",
            "manifest_sha256": meaning_of(manifest, LABELS),
        }
    )
