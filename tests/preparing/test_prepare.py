"""From a file to weights that may be loaded; what the command adds is in test_command.py."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from app.errors import ModelError, WeightsInvalid, WeightsUnavailable
from app.model.library import Library
from app.model.manifest import Manifest, read_manifest
from app.model.weights import map_tensors
from app.preparing.origin import IMAGENET_LABELS, own_manifest
from app.preparing.prepare import note_unavailable, prepare
from tests.dummy import MODELS

ARCHITECTURE = "timm:test_vit"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small state dict with 1,000 classes, as torch.save writes it, under a name that carries its digest."""
    import timm

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("source") / "net.pth"
    torch.save(timm.create_model("test_vit", num_classes=1000).state_dict(), path)
    return path.rename(path.with_name(f"net-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(MODELS, tmp_path)


def mine(source: Path) -> Manifest:
    return own_manifest("mine", ARCHITECTURE, source, IMAGENET_LABELS)


def from_torchvision(source: Path) -> Manifest:
    manifest = mine(source)
    weights = manifest.weights.model_copy(update={"source": "torchvision:VGG16_Weights.IMAGENET1K_V1"})
    return manifest.model_copy(update={"weights": weights})


def test_weights_receipt_and_manifest_are_left(source: Path, library: Library) -> None:
    said: list[str] = []
    receipt = prepare(mine(source), library, from_file=source, is_new=True, say=said.append)
    store = library.store("mine")
    assert store.check_weights() == receipt
    assert receipt.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert receipt.source_check == "none"
    assert "No digest is published" in said[0]
    assert receipt.source_sha256 in said[0]
    assert library.manifest("mine") == mine(source)
    written, given = map_tensors(store.weights), torch.load(source, weights_only=True)
    assert written.keys() == given.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in given.items())
    assert source.exists()  # it is not ours


def test_the_digits_in_a_published_files_name_are_checked(source: Path, library: Library, tmp_path: Path) -> None:
    receipt = prepare(from_torchvision(source), library, from_file=source)
    assert receipt.source_check == "sha256_prefix"
    other = tmp_path / "net-00000000.pth"
    other.write_bytes(source.read_bytes())
    with pytest.raises(WeightsInvalid, match="is not the published file"):
        prepare(from_torchvision(source), library, from_file=other)


def test_a_failure_leaves_what_was_prepared_before(source: Path, library: Library, tmp_path: Path) -> None:
    before = prepare(mine(source), library, from_file=source)
    tensors = torch.load(source, weights_only=True)
    del tensors["head.bias"]
    torch.save(tensors, tmp_path / "broken.pth")
    with pytest.raises(ModelError, match=r"head\.bias"):
        prepare(mine(source), library, from_file=tmp_path / "broken.pth")
    assert library.store("mine").check_weights() == before


def test_weights_that_are_not_finite_are_refused(source: Path, library: Library, tmp_path: Path) -> None:
    tensors = torch.load(source, weights_only=True)
    tensors["head.bias"][3] = torch.nan
    torch.save(tensors, tmp_path / "nan.pth")
    with pytest.raises(ModelError, match=r"head\.bias holds values that are not finite"):
        prepare(mine(source), library, from_file=tmp_path / "nan.pth")
    assert not library.store("mine").is_prepared()


def test_a_class_count_that_differs_from_the_labels_is_refused(source: Path, library: Library) -> None:
    manifest = own_manifest("mine", ARCHITECTURE, source, "labels/catdog.csv")
    with pytest.raises(ModelError, match="answer for 1000 classes, the label file has 2"):
        prepare(manifest, library, from_file=source)


def test_two_preparations_at_once_do_not_meet(source: Path, library: Library) -> None:
    store = library.store("mine")
    store.folder.mkdir()
    with FileLock(store.lock), pytest.raises(ModelError, match="Another process is preparing 'mine'"):
        prepare(mine(source), library, from_file=source)
    prepare(mine(source), library, from_file=source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written(source: Path, library: Library) -> None:
    library.store_dir.chmod(0o500)
    with pytest.raises(ModelError, match="cannot be written"):
        prepare(mine(source), library, from_file=source)


def test_what_a_killed_run_left_is_cleared_away(source: Path, library: Library) -> None:
    folder = library.store("mine").folder
    folder.mkdir()
    (folder / "tmpabc.part").touch()
    (folder / "net.pth.part").touch()  # a download to resume
    prepare(mine(source), library, from_file=source)
    assert not (folder / "tmpabc.part").exists()
    assert (folder / "net.pth.part").exists()


def test_somebodys_own_file_has_to_be_given_again(source: Path, library: Library) -> None:
    with pytest.raises(ModelError, match="give them again with --from-file"):
        prepare(mine(source), library)


def test_an_unknown_architecture_is_said_before_anything_is_fetched(library: Library) -> None:
    manifest = read_manifest(MODELS / "vgg16" / "manifest.json").model_copy(update={"architecture": "resnet50"})
    with pytest.raises(ModelError, match="architecture"):
        prepare(manifest, library)
    assert not library.store("vgg16").folder.exists()


def test_a_success_takes_back_the_note_of_a_failure(source: Path, library: Library) -> None:
    store = library.store("mine")
    note_unavailable(store, WeightsUnavailable("no network."))
    note = store.read_unavailable()
    assert note
    assert note.reason == "no network."
    prepare(mine(source), library, from_file=source)
    assert store.read_unavailable() is None
