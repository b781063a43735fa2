"""A finished model from another folder into the store: checked beside it, put in its place in one step, and back."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import ModelError, NotPrepared
from app.model.files import copy_atomically, disk_errors, exchange, replace_folder, write_atomically
from app.model.library import Library
from app.model.manifest import Manifest, parse_manifest
from app.model.receipt import meaning_of
from app.model.sharing import read_weights
from app.model.store import PREVIOUS
from app.model.weights import fit

# Folders of the store that hold a model by its name, and that nothing is served from.
STAGED = ".staged"


def install(source: Path, library: Library, name: str | None = None) -> tuple[Manifest, bool]:
    """Put the model that a folder holds into the store; its manifest, and whether it was not there already.

    What it replaces is kept for ``roll_back``. A service that runs goes on with the files that it has mapped. Raises
    ``ModelError`` when the model is not whole, does not fit its base here, or the disk is full; then nothing has
    changed.
    """
    manifest = parse_manifest(source / "manifest.json")
    manifest = manifest.model_copy(update={"name": name or manifest.name})
    if manifest.base is not None and manifest.base.model == manifest.name:
        raise ModelError(f"{manifest.name!r} is the base of this model; install it with --name under another one.")
    store = library.store(manifest.name)
    with store.locked(), _staging(library, manifest.name) as staging:
        staged = staging.store(manifest.name)
        _copy(source, staged.folder)
        write_atomically(staged.manifest, manifest)
        _check(manifest, staging, library)
        if store.is_prepared() and _is_same(manifest, staging, library):
            return manifest, False
        replace_folder(staged.folder, store.folder, _kept_in(library, PREVIOUS).store(manifest.name).folder)
    return manifest, True


def roll_back(name: str, library: Library) -> Manifest:
    """Let a model and the one that it has replaced change places; the manifest of what is there then.

    Once more brings it back. Raises ``ModelError`` when there is no earlier one or it is not whole.
    """
    kept = _kept_in(library, PREVIOUS)
    store, previous = library.store(name), kept.store(name)
    with store.locked(), disk_errors(store.folder):
        if not previous.is_prepared():
            raise ModelError(f"There is no earlier version of {name!r} to go back to.")
        manifest = kept.manifest(name)
        _check(manifest, kept, library)
        if store.folder.exists():
            exchange(previous.folder, store.folder)
        else:
            previous.folder.rename(store.folder)
    return manifest


def _kept_in(library: Library, folder: str) -> Library:
    return Library(library.models_dir, library.store_dir / folder)


@contextmanager
def _staging(library: Library, name: str) -> Iterator[Library]:
    """A store of its own on the same disk, empty before and afterwards."""
    staging = _kept_in(library, STAGED)
    folder = staging.store(name).folder
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield staging
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, folder: Path) -> None:
    """Everything but what is hidden or was left unfinished. Files are flushed: the rename must not outrun them."""
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and path.suffix != ".part" and not any(part.startswith(".") for part in inside.parts):
            copy_atomically(path, folder / inside)


def _check(manifest: Manifest, place: Library, library: Library) -> None:
    """That a model is whole and fits its labels and its base, where it lies now.

    A receipt of 0.1.0 does not know its manifest, and is given it.
    """
    store, labels = place.store(manifest.name), place.labels(manifest)
    if not store.is_prepared():
        raise NotPrepared(f"{store.folder} is no whole model: weights.safetensors or receipt.json is missing.")
    files = read_weights(library, manifest, store)
    receipt = files.own.receipt
    receipt.check(manifest, labels)
    fit(files.joined(), manifest.architecture, len(labels), by_position=False)
    if not receipt.manifest_sha256:
        tied = receipt.model_copy(update={"manifest_sha256": meaning_of(manifest, labels)})
        write_atomically(store.receipt, tied)


def _is_same(manifest: Manifest, staging: Library, library: Library) -> bool:
    """Whether the store has this very model: to replace it would lose the one before."""
    staged, there = (place.store(manifest.name).read_receipt() for place in (staging, library))
    return staged.weights_sha256 == there.weights_sha256 and library.manifest(manifest.name) == manifest
