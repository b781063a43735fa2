"""From a manifest to weights that the service may load: fetch, verify, convert once, measure, leave a receipt."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from tqdm import tqdm

from app.errors import ModelError, WeightsInvalid, WeightsUnavailable
from app.model.files import copy_atomically, sha256_of, write_atomically
from app.model.labels import Label, read_labels
from app.model.library import Library
from app.model.manifest import Manifest, WeightsOrigin
from app.model.network import build_architecture
from app.model.receipt import RENEWABLE, Receipt, meaning_of
from app.model.sharing import read_weights
from app.model.store import ModelStore, Unavailable
from app.model.weights import fit, read_state_dict, write_safetensors
from app.preparing.download import download
from app.preparing.origin import (
    OTHER_WEIGHTS,
    packaged_file,
    published_prefix,
    refuse_unusable,
    torchvision_weights,
)

logger = logging.getLogger(__name__)


class Verified(NamedTuple):
    """The digest of a file, and what it was compared with."""

    check: Literal["sha256", "sha256_prefix", "none"]
    sha256: str


def prepare(
    manifest: Manifest,
    library: Library,
    *,
    from_file: Path | None = None,
    url: str | None = None,
    labels_file: Path | None = None,
    is_new: bool = False,
    say: Callable[[str], None] = logger.info,
) -> Receipt:
    """Prepare a model's weights, from a file, a mirror, or where its manifest says that they are published.

    The manifest is written to the store when it is new, and ``labels_file`` as what it names.
    Nothing half-written is ever left under a name that the service would load: weights are renamed into place when
    whole, and count only with the receipt, which is written last.

    Raises ``WeightsUnavailable`` when they cannot be obtained, ``WeightsInvalid`` when they must not be used and
    ``ModelError`` for the rest (disk, lock, labels, architecture).
    """
    store = library.store(manifest.name)
    labels = read_labels(labels_file) if labels_file else library.labels(manifest)
    build_architecture(manifest.architecture, len(labels))  # an unknown architecture is said before a long download
    with _locked(store):
        source, is_ours = _obtain(manifest.weights, store, from_file, url, say)
        verified = _verify(source, manifest.weights, is_ours, say)
        say(f"Converting to {store.weights} …")
        _convert(source, manifest, len(labels), store)
        receipt = _receipt(source, manifest, labels, verified, store)
        if labels_file:
            copy_atomically(labels_file, store.folder / manifest.labels)
        if is_new:
            write_atomically(store.manifest, manifest)
        write_atomically(store.receipt, receipt)
        store.unavailable.unlink(missing_ok=True)
        if is_ours:
            source.unlink()
    return receipt


def renew(manifest: Manifest, library: Library) -> bool:
    """Vouch for a manifest that has changed, with the weights that are there; whether that could be done.

    They must still be made from the file that it names, and for what decides how they are read; then nothing has to be
    fetched or converted again. Raises ``ModelError`` when they are damaged or do not fit.
    """
    store, labels = library.store(manifest.name), library.labels(manifest)
    with _locked(store):
        receipt = store.read_receipt()
        if not receipt.is_of(manifest.weights) or not receipt.changed(manifest, labels) <= RENEWABLE:
            return False
        tensors = read_weights(library, manifest).joined()
        fit(tensors, manifest.architecture, len(labels), by_position=False)
        renewed = {"source": manifest.weights.source, "manifest_sha256": meaning_of(manifest, labels)}
        write_atomically(store.receipt, receipt.model_copy(update=renewed))
    return True


def note_unavailable(store: ModelStore, error: WeightsUnavailable) -> None:
    """Remember that the weights could not be obtained, so that later starts need not try again."""
    note = Unavailable(reason=str(error), tried_at=datetime.now(UTC))
    write_atomically(store.unavailable, note)


def _obtain(
    origin: WeightsOrigin, store: ModelStore, from_file: Path | None, url: str | None, say: Callable[[str], None]
) -> tuple[Path, bool]:
    """The file with the weights, and whether it is ours to delete."""
    if from_file is not None:
        refuse_unusable(from_file.name)
        if not from_file.is_file():
            raise ModelError(f"There is no file {from_file}.")
        return from_file, False
    kind, _, _ = origin.source.partition(":")
    if kind == "package":
        return packaged_file(origin.source), False
    if url is None and kind != "torchvision":
        raise ModelError(f"These weights came from {origin.source!r}; give them again with --from-file.")
    url = url or torchvision_weights(origin.source).url
    part = store.folder / f"{Path(url).name}.part"
    say(f"Downloading {url}")
    download(url, part, origin.size_bytes)
    return part, True


def _verify(source: Path, origin: WeightsOrigin, is_ours: bool, say: Callable[[str], None]) -> Verified:
    """A file's digest, which is the published one. A wrong file that we fetched is deleted: it cannot be resumed."""
    with tqdm(total=source.stat().st_size, desc="Checking SHA-256", unit="B", unit_scale=True, mininterval=0.5) as bar:
        digest = sha256_of(source, bar.update)
    expected = origin.sha256 or origin.sha256_prefix or published_prefix(origin.source)
    if expected is None:
        say(f"No digest is published for {origin.source}; its SHA-256 is {digest}.")
        return Verified("none", digest)
    if not digest.startswith(expected):
        if is_ours:
            source.unlink()
            raise WeightsUnavailable(f"what was sent is not the published file (SHA-256 {digest}, not {expected}).")
        raise WeightsInvalid(
            f"{source} is not the published file: its SHA-256 is {digest}, not {expected}. {OTHER_WEIGHTS}"
        )
    if origin.sha256 is None:
        say(f"Only the first {len(expected)} digits of the SHA-256 are published; they match ({digest}).")
        return Verified("sha256_prefix", digest)
    return Verified("sha256", digest)


def _convert(source: Path, manifest: Manifest, classes: int, store: ModelStore) -> None:
    """What was prepared before is gone from the moment on that its weights are replaced, and not earlier."""
    by_position = manifest.weights.tensor_names == "by_position"
    tensors = fit(read_state_dict(source), manifest.architecture, classes, by_position=by_position)
    store.receipt.unlink(missing_ok=True)
    write_safetensors(tensors, store.weights)


def _receipt(
    source: Path, manifest: Manifest, labels: Sequence[Label], verified: Verified, store: ModelStore
) -> Receipt:
    return Receipt(
        source=manifest.weights.source,
        source_sha256=verified.sha256,
        source_size_bytes=source.stat().st_size,
        source_check=verified.check,
        weights_sha256=sha256_of(store.weights),
        weights_size_bytes=store.weights.stat().st_size,
        prepared_at=datetime.now(UTC),
        torch_version=torch.__version__,
        manifest_sha256=meaning_of(manifest, labels),
    )


@contextmanager
def _locked(store: ModelStore) -> Iterator[None]:
    """With a folder that holds nothing of a run that was killed while it wrote."""
    with store.locked():
        store.folder.mkdir(parents=True, exist_ok=True)
        for left_over in store.folder.glob("tmp*.part"):
            left_over.unlink()
        yield
