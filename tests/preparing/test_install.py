"""A finished model put into the store, and back; the files are real, and so are the checks."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.errors import ManifestChanged, ModelError, WeightsInvalid
from app.model.files import write_atomically
from app.model.labels import read_labels
from app.model.library import Library
from app.model.load import load_model
from app.model.manifest import Base, read_manifest
from app.model.receipt import meaning_of
from app.model.store import PREVIOUS, ModelStore
from app.model.weights import map_tensors
from app.preparing.install import STAGED, install, roll_back
from tests.dummy import MODELS
from tests.model.test_sharing import put
from tests.running import settings

NAME = "mine"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A store with a base, ready for exports of it."""
    import timm

    torch.manual_seed(0)
    put(tmp_path / "store", "base", dict(timm.create_model("test_efficientnet", num_classes=5).state_dict()))
    return Library(MODELS, tmp_path / "store")


@pytest.fixture
def export(library: Library, tmp_path: Path) -> Callable[[int], Path]:
    """Exports as another machine's trainer leaves them: what has changed is full of their number."""

    def make(number: int) -> Path:
        kept = map_tensors(library.store("base").weights)
        base = Base(model="base", weights_sha256=library.store("base").read_receipt().weights_sha256)
        width = kept["classifier.weight"].shape[1]
        tensors = {"classifier.weight": torch.full((2, width), number), "classifier.bias": torch.zeros(2)}
        put(tmp_path / f"{number}", NAME, {key: value.float() for key, value in tensors.items()}, base, 2)
        folder = ModelStore(tmp_path / f"{number}", NAME)
        tie(folder)
        (folder.folder / "tensorboard").mkdir()
        (folder.folder / "tensorboard" / f"events.{number}").touch()
        (folder.folder / ".lock").touch()
        return folder.folder.rename(tmp_path / f"in-{number}")  # mounted under any name

    return make


def tie(store: ModelStore) -> None:
    meaning = meaning_of(read_manifest(store.manifest), read_labels(store.folder / "labels.csv"))
    write_atomically(store.receipt, store.read_receipt().model_copy(update={"manifest_sha256": meaning}))


def number_of(library: Library, name: str = NAME) -> float:
    """Which export is served: it is loaded as the service would."""
    load_model(name, settings(store_dir=library.store_dir, device="cpu"))
    return float(map_tensors(library.store(name).weights)["classifier.weight"][0, 0])


def test_an_export_is_installed_and_the_next_one_takes_its_place(
    library: Library, export: Callable[[int], Path]
) -> None:
    manifest, is_new = install(export(1), library)
    assert (manifest.name, is_new) == (NAME, True)
    assert number_of(library) == 1
    install(export(2), library)
    assert number_of(library) == 2
    found = {path.relative_to(library.store(NAME).folder).as_posix() for path in library.store(NAME).folder.rglob("*")}
    names = {"manifest.json", "receipt.json", "weights.safetensors", "labels.csv", "tensorboard"}
    assert found == names | {"tensorboard/events.2"}
    assert library.prepared() == ["base", NAME]
    assert not any((library.store_dir / STAGED).iterdir())


def test_one_may_go_back_and_forth(library: Library, export: Callable[[int], Path]) -> None:
    install(export(1), library)
    with pytest.raises(ModelError, match="no earlier version of 'mine'"):
        roll_back(NAME, library)
    install(export(2), library)
    for expected in (1, 2, 1):
        assert roll_back(NAME, library).name == NAME
        assert number_of(library) == expected
    shutil.rmtree(library.store(NAME).folder)
    roll_back(NAME, library)
    assert number_of(library) == 2


def test_the_same_once_more_does_not_lose_the_earlier_one(library: Library, export: Callable[[int], Path]) -> None:
    install(export(1), library)
    second = export(2)
    install(second, library)
    assert install(second, library)[1] is False
    roll_back(NAME, library)
    assert number_of(library) == 1


def test_a_service_that_is_running_keeps_what_it_has_mapped(library: Library, export: Callable[[int], Path]) -> None:
    install(export(1), library)
    mapped = map_tensors(library.store(NAME).weights)["classifier.weight"]
    install(export(2), library)
    roll_back(NAME, library)
    install(export(3), library)
    assert (mapped == 1).all()


def test_there_is_a_whole_model_at_every_moment(library: Library, export: Callable[[int], Path]) -> None:
    exports = [export(number) for number in (1, 2)]
    install(exports[0], library)
    done, missing = threading.Event(), list[str]()

    def watch() -> None:
        while not done.is_set():
            try:
                library.store(NAME).manifest.read_bytes()
                library.store(NAME).weights.read_bytes()
            except FileNotFoundError as error:
                missing.append(str(error.filename))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(2):
            install(exports[1], library)
            for _ in range(6):
                roll_back(NAME, library)
            install(exports[0], library)
    finally:
        done.set()
        watcher.join()
    assert not missing


def test_another_name_and_a_receipt_of_the_first_version(library: Library, export: Callable[[int], Path]) -> None:
    """Which did not know its manifest, and is told it."""
    folder = export(1)
    receipt = json.loads((folder / "receipt.json").read_text())
    del receipt["manifest_sha256"]
    (folder / "receipt.json").write_text(json.dumps(receipt))
    manifest, _ = install(folder, library, "other")
    assert manifest.name == "other"
    assert number_of(library, "other") == 1
    assert library.store("other").read_receipt().manifest_sha256
    assert json.loads((folder / "receipt.json").read_text()) == receipt  # it is not ours


def damage(folder: Path) -> None:
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def change(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"temperature": 2.0}))


def add_class(folder: Path) -> None:
    """With a receipt that vouches for it: only the network's own shapes are against it."""
    with (folder / "labels.csv").open("a", encoding="utf-8") as file:
        file.write("2,,c2,类2,,\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    named = folder.rename(folder.with_name(manifest["name"]))
    tie(ModelStore(named.parent, named.name))
    named.rename(folder)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (damage, WeightsInvalid, "is damaged"),
        (change, ManifestChanged, "temperature"),
        (add_class, WeightsInvalid, "answer for 2 classes, the label file has 3"),
        (lambda folder: (folder / "receipt.json").unlink(), ModelError, r"receipt\.json is missing"),
        (lambda folder: (folder / "labels.csv").unlink(), ModelError, "label file 'labels.csv' is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), ModelError, r"manifest\.json cannot be read"),
    ],
)
def test_what_is_not_whole_changes_nothing(
    library: Library, export: Callable[[int], Path], spoil: Callable[[Path], None], error: type[ModelError], words: str
) -> None:
    install(export(1), library)
    folder = export(2)
    spoil(folder)
    with pytest.raises(error, match=words):
        install(folder, library)
    assert number_of(library) == 1
    assert not any((library.store_dir / STAGED).iterdir())
    assert not (library.store_dir / PREVIOUS).exists()


def test_the_base_must_be_there_and_the_very_same(library: Library, export: Callable[[int], Path]) -> None:
    folder = export(1)
    with pytest.raises(ModelError, match="is the base of this model"):
        install(folder, library, "base")
    other = {key: tensor + 1 for key, tensor in map_tensors(library.store("base").weights).items()}
    put(library.store_dir, "base", other)
    with pytest.raises(ModelError, match="trained from other weights than 'base' has now"):
        install(folder, library)
    shutil.rmtree(library.store("base").folder)
    with pytest.raises(ModelError, match=r"'base' .* which is not prepared"):
        install(folder, library)
    assert library.prepared() == []


def test_an_earlier_one_that_is_damaged_is_not_gone_back_to(library: Library, export: Callable[[int], Path]) -> None:
    install(export(1), library)
    install(export(2), library)
    damage(library.store_dir / PREVIOUS / NAME)
    with pytest.raises(WeightsInvalid, match="is damaged"):
        roll_back(NAME, library)
    assert number_of(library) == 2


def test_what_a_killed_install_left_is_cleared_away(library: Library, export: Callable[[int], Path]) -> None:
    left = library.store_dir / STAGED / NAME
    left.mkdir(parents=True)
    (left / "weights.safetensors").write_bytes(b"half of it")
    (left / "stray").touch()
    install(export(1), library)
    assert number_of(library) == 1
    assert not (library.store(NAME).folder / "stray").exists()


def test_a_full_disk_changes_nothing(
    library: Library, export: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(export(1), library)
    second = export(2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.model.files.shutil.copyfileobj", full)
    with pytest.raises(ModelError, match="is full"):
        install(second, library)
    assert number_of(library) == 1
    assert not any((library.store_dir / STAGED).iterdir())


def test_two_at_once_do_not_meet(library: Library, export: Callable[[int], Path]) -> None:
    with library.store(NAME).locked(), pytest.raises(ModelError, match="Another process is preparing 'mine' now"):
        install(export(1), library)
