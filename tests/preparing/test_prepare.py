"""From a file to weights that may be loaded; what the command adds is in test_command.py."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from app.errors import ManifestChanged, ModelError, WeightsInvalid, WeightsUnavailable
from app.model.files import write_atomically
from app.model.library import Library
from app.model.manifest import Manifest, WeightsOrigin, read_manifest
from app.model.receipt import Receipt
from app.model.store import ModelStore
from app.model.weights import map_tensors
from app.preparing.origin import IMAGENET_LABELS, own_manifest
from app.preparing.prepare import note_unavailable, prepare, renew
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
    weights = manifest.weights.model_copy(update={"source": "torchvision:VGG11_Weights.IMAGENET1K_V1"})
    return manifest.model_copy(update={"weights": weights})


def vouched(store: ModelStore) -> Receipt:
    with store.open_weights() as (receipt, _):
        return receipt


def test_weights_receipt_and_manifest_are_left(source: Path, library: Library) -> None:
    said: list[str] = []
    receipt = prepare(mine(source), library, from_file=source, is_new=True, say=said.append)
    store = library.store("mine")
    assert vouched(store) == receipt
    library.require_prepared("mine")
    assert receipt.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert receipt.source_check == "none"
    assert "No digest is published" in said[0]
    assert receipt.source_sha256 in said[0]
    assert library.manifest("mine") == mine(source)
    written, given = map_tensors(store.weights), torch.load(source, weights_only=True)
    assert written.keys() == given.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in given.items())
    assert source.exists()  # it is not ours


def test_the_published_digits_count_and_not_those_of_the_supplied_files_name(
    source: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, anonymous = from_torchvision(source), tmp_path / "anything.pth"
    anonymous.write_bytes(source.read_bytes())
    for file in (source, anonymous):  # the first one carries its own digest in its name
        with pytest.raises(WeightsInvalid, match=r"is not the published file.*not 8a719046\. Other .*--name NAME"):
            prepare(manifest, library, from_file=file)
    assert not library.store("mine").is_prepared()
    address = SimpleNamespace(url=f"https://example.org/models/{source.name}")  # as if these weights were published
    monkeypatch.setattr("app.preparing.origin.torchvision_weights", lambda _: address)
    assert prepare(manifest, library, from_file=anonymous).source_check == "sha256_prefix"


def test_a_failure_leaves_what_was_prepared_before(source: Path, library: Library, tmp_path: Path) -> None:
    before = prepare(mine(source), library, from_file=source)
    tensors = torch.load(source, weights_only=True)
    del tensors["head.bias"]
    torch.save(tensors, tmp_path / "broken.pth")
    with pytest.raises(ModelError, match=r"head\.bias"):
        prepare(mine(source), library, from_file=tmp_path / "broken.pth")
    assert vouched(library.store("mine")) == before


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


def test_a_failure_leaves_the_label_file_too(source: Path, library: Library, tmp_path: Path) -> None:
    words = (MODELS / "labels" / "imagenet1k.csv").read_text(encoding="utf-8")
    labels = tmp_path / "mine.csv"
    labels.write_text(words, encoding="utf-8")
    manifest = own_manifest("mine", ARCHITECTURE, source, "labels.csv")
    prepare(manifest, library, from_file=source, labels_file=labels, is_new=True)
    labels.write_text("".join(words.splitlines(keepends=True)[:3]), encoding="utf-8")
    with pytest.raises(WeightsInvalid, match="1000 classes, the label file has 2"):
        prepare(manifest, library, from_file=source, labels_file=labels, is_new=True)
    assert (library.store("mine").folder / "labels.csv").read_text(encoding="utf-8") == words
    library.require_prepared("mine")


def test_a_service_that_is_running_keeps_what_it_has_mapped(source: Path, library: Library, tmp_path: Path) -> None:
    prepare(mine(source), library, from_file=source)
    mapped = map_tensors(library.store("mine").weights)
    tensors = torch.load(source, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in tensors.items()}, tmp_path / "other.pth")
    prepare(mine(source), library, from_file=tmp_path / "other.pth")
    assert all(torch.equal(mapped[name], tensor) for name, tensor in tensors.items())
    now = map_tensors(library.store("mine").weights)
    assert all(torch.equal(now[name], tensor + 1) for name, tensor in tensors.items())


def changed(manifest: Manifest, **fields: object) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | fields)


def test_another_mean_is_renewed_without_the_file(source: Path, library: Library) -> None:
    before = prepare(mine(source), library, from_file=source, is_new=True)
    gray = mine(source).preprocessing.model_dump() | {"mean": (0.4, 0.4, 0.4)}
    manifest = changed(mine(source), preprocessing=gray)
    write_atomically(library.store("mine").manifest, manifest)
    with pytest.raises(ManifestChanged, match=r"preprocessing\. .*scripts/prepare_model\.py mine$"):
        library.require_prepared("mine")
    assert renew(manifest, library)
    library.require_prepared("mine")
    assert vouched(library.store("mine")).weights_sha256 == before.weights_sha256


@pytest.mark.parametrize(
    "fields",
    [
        {"architecture": "timm:test_vit2"},
        {"weights": WeightsOrigin(source="file:other.pth")},
        {"weights": WeightsOrigin(source="file:net.pth", sha256="0" * 64)},
        {"weights": WeightsOrigin(source="file:net.pth", tensor_names="by_position")},
    ],
)
def test_what_changes_the_weights_themselves_is_not_renewed(
    source: Path, library: Library, fields: dict[str, object]
) -> None:
    own = own_manifest("mine", ARCHITECTURE, Path("net.pth"), IMAGENET_LABELS)
    before = prepare(own, library, from_file=source)
    assert not renew(changed(own, **fields), library)
    assert library.store("mine").read_receipt() == before


def test_damaged_weights_are_not_renewed(source: Path, library: Library) -> None:
    prepare(mine(source), library, from_file=source)
    store = library.store("mine")
    store.weights.write_bytes(store.weights.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsInvalid, match="damaged"):
        renew(changed(mine(source), temperature=2.0), library)
