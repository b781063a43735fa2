"""One model's folder in the store: weights count with their receipt only."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import WeightsInvalid
from app.model.files import sha256_of, write_atomically
from app.model.receipt import Receipt
from app.model.store import ModelStore, Unavailable

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def prepared(store_dir: Path, source: str = "torchvision:VGG16_Weights.IMAGENET1K_V1") -> ModelStore:
    """As ``prepare`` leaves it, with weights that nobody reads."""
    store = ModelStore(store_dir, "net")
    store.folder.mkdir()
    store.weights.write_bytes(b"weights")
    write_atomically(
        store.receipt,
        Receipt(
            source=source,
            source_sha256="0" * 64,
            source_size_bytes=7,
            source_check="sha256",
            weights_sha256=sha256_of(store.weights),
            weights_size_bytes=7,
            prepared_at=NOW,
            torch_version="2",
        ),
    )
    return store


def test_weights_without_a_receipt_are_not_prepared_nor_a_receipt_without_weights(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    assert store.is_prepared()
    store.weights.unlink()
    assert not store.is_prepared()
    store.weights.touch()
    store.receipt.unlink()
    assert not store.is_prepared()


def test_the_receipt_vouches_for_the_weights(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    with store.open_weights() as (receipt, _):
        assert receipt.prepared_at == NOW
    store.weights.write_bytes(b"Weights")
    with pytest.raises(WeightsInvalid, match=r"is damaged.*prepare_model\.py net --force"), store.open_weights():
        pass


def test_damaged_weights_of_a_training_run_are_trained_again(tmp_path: Path) -> None:
    store = prepared(tmp_path, "training:pictures")
    store.weights.write_bytes(b"Weights")
    with pytest.raises(WeightsInvalid, match=r"is damaged.*finetune\.py --name net"), store.open_weights():
        pass


@pytest.mark.parametrize("content", ["", "{}", '{"surprise": 1}', "not JSON"])
def test_a_receipt_that_cannot_be_read(content: str, tmp_path: Path) -> None:
    store = prepared(tmp_path)
    store.receipt.write_text(content)
    with pytest.raises(WeightsInvalid, match="prepare the model again"):
        store.read_receipt()


def test_a_note_that_weights_could_not_be_had(tmp_path: Path) -> None:
    store = prepared(tmp_path)
    assert store.read_unavailable() is None
    write_atomically(store.unavailable, Unavailable(reason="no network", tried_at=NOW))
    assert store.read_unavailable() == Unavailable(reason="no network", tried_at=NOW)
    store.unavailable.write_text("{")
    broken = store.read_unavailable()
    assert broken
    assert broken.reason == "an earlier attempt failed"


def test_an_operator_is_told_what_to_do(tmp_path: Path) -> None:
    text = ModelStore(tmp_path, "net").explain_unavailable("no network.")
    assert "'net' are missing: no network." in text
    assert "scripts/prepare_model.py net --from-file PATH" in text
    assert str(tmp_path / "net") in text
