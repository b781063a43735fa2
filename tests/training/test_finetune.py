"""From a folder of images to a served model, by the script that users run."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file, save_file

from app.model.store import ModelStore
from app.training.evaluate import main as evaluate
from app.training.finetune import main
from tests.running import ROOT, running_process
from tests.training.command import finetune, history, weights
from tests.training.conftest import BASE, draw

NEW = "made-by-a-test"  # a checkout may have a catdog of its own


def test_a_folder_becomes_a_model_that_is_right_and_says_how_it_came_to_be(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures, "--ten-crop") == 0
    said = capsys.readouterr().out
    folder = store / "catdog"
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "weights.safetensors",
        "receipt.json",
        "labels.csv",
        "split.csv",
        "metrics.csv",
        "excluded.csv",
        "predictions.csv",
        "seen.csv",
        "suspects.csv",
        "report.html",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    metrics = manifest["training"]["metrics"]
    assert metrics["top1"] == metrics["top1_ten_crop"] == 1.0
    assert "calibration      top-1 100.00%" in said
    assert manifest["base"] == {"model": BASE, "weights_sha256": ModelStore(store, BASE).read_receipt().weights_sha256}
    assert manifest["training"]["split_sha256"] == hashlib.sha256((folder / "split.csv").read_bytes()).hexdigest()
    # only what differs from the base, and the labels of cats and dogs in both languages
    assert load_file(folder / "weights.safetensors").keys() == {"head.weight", "head.bias"}
    assert (folder / "labels.csv").read_text() == (ROOT / "models/labels/catdog.csv").read_text()
    left_out = dict(csv.reader((folder / "excluded.csv").read_text().splitlines()))
    assert {"1.jpg", "cat.77.jpg"} <= left_out.keys()
    assert "1.jpg" in said
    report = (folder / "report.html").read_text()
    for part in ("<svg", "Accuracy over confidence", "shown \\ answered", "temperature", "torch"):
        assert part in report
    assert "://" not in report.replace("http://www.w3.org", "")
    # the checkpoint is gone; the features stay for the next run
    assert not (store / ".training" / "catdog").exists()
    assert list((store / ".training").glob("features-*"))


def test_cached_features_and_images_teach_the_same(store: Path, pictures: Path) -> None:
    assert finetune(store, pictures) == 0
    assert finetune(store, pictures, "--name", "uncached", "--no-cache-features") == 0
    for one, other in zip(history(store), history(store, "uncached"), strict=True):
        for name, value in one.items():
            assert float(value) == pytest.approx(float(other[name]), abs=1e-4), name


def test_served_beside_its_base_and_replaced_while_the_service_runs(store: Path, pictures: Path) -> None:
    cat, dog = (pictures / "cat.3.png").read_bytes(), (pictures / "dog.3.png").read_bytes()
    key = {"X-API-Key": "k"}
    settings = {"VGG_STORE_DIR": str(store), "VGG_MODEL": BASE, "VGG_DEVICE": "cpu", "VGG_MAX_QUEUE_DELAY_S": "60"}
    settings |= {"VGG_API_KEYS": "client", "VGG_ADMIN_KEYS": "k"}
    with running_process(settings) as (url, _), httpx.Client(base_url=url, headers=key, timeout=60) as client:

        def answer(data: bytes) -> str:
            response = client.post("/predict", params={"model": NEW}, files={"file": data})
            return (
                str(response.json()["predictions"][0]["label_zh"]) if response.is_success else response.json()["code"]
            )

        assert client.post(f"/models/{NEW}/load").status_code == 404
        assert finetune(store, pictures, "--name", NEW) == 0
        assert answer(cat) == "model_not_found"
        assert httpx.post(f"{url}/models/{NEW}/load").status_code == 401
        assert client.post(f"/models/{NEW}/load").json()["name"] == NEW
        assert (answer(cat), answer(dog)) == ("猫", "狗")
        described = client.get(f"/models/{NEW}").json()
        assert described["base"] == {
            "model": BASE,
            "weights_sha256": client.get(f"/models/{BASE}").json()["weights"]["sha256"],
        }
        first = described["weights"]["sha256"]

        # a broken one changes nothing
        file = ModelStore(store, NEW).weights
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert client.post(f"/models/{NEW}/load").status_code == 503
        assert (answer(cat), answer(dog)) == ("猫", "狗")
        assert client.get(f"/models/{NEW}").json()["weights"]["sha256"] == first

        # a new one takes its place
        assert finetune(store, pictures, "--name", NEW, "--seed", "7") == 0
        assert client.post(f"/models/{NEW}/load").status_code == 200
        assert client.get(f"/models/{NEW}").json()["weights"]["sha256"] == weights(store, NEW) != first
        assert (answer(cat), answer(dog)) == ("猫", "狗")
        assert client.post("/predict", files={"file": cat}).json()["model"]["name"] == BASE
    with running_process(settings | {"VGG_API_KEYS": "", "VGG_ADMIN_KEYS": ""}) as (url, _):
        assert httpx.post(f"{url}/models/{NEW}/load").status_code == 403
        assert {model["name"] for model in httpx.get(f"{url}/models").json()["models"]} == {BASE, NEW}


def test_an_export_can_be_trained_on_and_refers_to_the_root(store: Path, pictures: Path) -> None:
    assert finetune(store, pictures) == 0
    assert finetune(store, pictures, "--base", "catdog", "--name", "second", "--lr", "0.0001") == 0
    manifest = json.loads((store / "second" / "manifest.json").read_text())
    assert manifest["base"]["model"] == BASE
    assert float(history(store, "second")[0]["train_accuracy"]) > 0.9  # the head was kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--base", "nothing"], "There is no model 'nothing'"),
        (["--name", BASE], "is the base itself"),
        (["--train", "block5"], "needs a VGG"),
        (["--labels", str(ROOT / "models/labels/imagenet1k.csv")], "has no class, or several classes, for: cat, dog"),
    ],
)
def test_mistakes_get_one_clear_line(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert finetune(store, pictures, *arguments) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_two_runs_for_one_name_do_not_meet(store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / ".training").mkdir()
    with FileLock(store / ".training" / "catdog.lock"):
        assert finetune(store, pictures) == 1
    assert "Another process is training 'catdog' now" in capsys.readouterr().err


def features(store: Path) -> set[str]:
    return {folder.name for folder in (store / ".training").glob("features-*")}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parts(store: Path, name: str = "catdog") -> dict[str, str]:
    return {row["sha256"]: row["part"] for row in rows(store / name / "split.csv")}


def fit(store: Path, data: Path, *arguments: str) -> int:
    """The default: the head fitted at once and cross-validated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG_STORE_DIR", str(store))
        patch.setenv("VGG_DEVICE", "cpu")
        return main("", ["--data", str(data), "--base", BASE, *arguments])


def test_by_default_a_head_is_cross_validated_over_all_pictures(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(store, pictures, "--test", "0.2", "--ten-crop") == 0
    said = capsys.readouterr().out
    metrics = json.loads((store / "catdog" / "manifest.json").read_text())["training"]["metrics"]
    assert metrics["pictures"] == 60
    assert metrics["top1"] == metrics["balanced_accuracy"] == metrics["top1_ten_crop"] == 1
    assert "each answered by a head that has not seen it" in said
    predictions = rows(store / "catdog" / "predictions.csv")
    assert len(predictions) == 60
    tested = [row for row in predictions if row["held_out_by"] == "test"]
    assert {row["fold"] for row in tested} == {""}
    assert 0 < len(tested) == sum(part == "test" for part in parts(store).values())
    assert load_file(store / "catdog" / "weights.safetensors").keys() == {"head.weight", "head.bias"}
    assert (store / "catdog" / "weights.safetensors").stat().st_size < 10_000
    report = (store / "catdog" / "report.html").read_text()
    for words in ("None of these", "Labels that are probably wrong", "With twice the pictures", "by cross-validation"):
        assert words in report or words == "With twice the pictures"
    assert "fitted on all images but the test part" in report


def test_features_of_a_base_that_was_trained_again_are_computed_again(store: Path, pictures: Path) -> None:
    """The cache was known by the base's name and its root's digest: both stay when an export is trained anew."""
    assert finetune(store, pictures) == 0
    assert fit(store, pictures, "--base", "catdog", "--name", "second") == 0
    before, weights_before = features(store), weights(store, "second")
    change_trunk(store, "catdog")
    assert fit(store, pictures, "--base", "catdog", "--name", "second") == 0
    assert len(features(store) - before) == 1
    assert weights(store, "second") != weights_before


def change_trunk(store: Path, name: str) -> None:
    """As if the export had been trained again, further down: the same name and root, other tensors."""
    folder, tensors = ModelStore(store, name), load_file(ModelStore(store, name).weights)
    base = load_file(ModelStore(store, BASE).weights)
    changed = next(key for key, tensor in base.items() if tensor.ndim == 2 and not key.startswith("head"))
    save_file(tensors | {changed: base[changed] * 1.5}, folder.weights)
    receipt = json.loads(folder.receipt.read_text())
    receipt["weights_sha256"] = receipt["source_sha256"] = hashlib.sha256(folder.weights.read_bytes()).hexdigest()
    folder.receipt.write_text(json.dumps(receipt))


def test_an_interrupted_run_is_not_resumed_on_a_base_that_was_trained_again(
    store: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures) == 0

    def give_up(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.training.steps.measure", give_up)
        assert finetune(store, pictures, "--base", "catdog", "--name", "second") == 130
    change_trunk(store, "catdog")
    assert finetune(store, pictures, "--base", "catdog", "--name", "second", "--resume") == 1
    assert "cannot be resumed (base was" in capsys.readouterr().err


def test_more_pictures_move_none_from_one_part_to_another(store: Path, pictures: Path, tmp_path: Path) -> None:
    assert finetune(store, pictures, "--test", "0.2") == 0
    before = parts(store)
    more = tmp_path / "more"
    shutil.copytree(pictures, more)
    for number in range(30, 40):
        draw(more / f"cat.{number}.png", "cat", number)
        draw(more / f"dog.{number}.png", "dog", number)
    assert finetune(store, more, "--test", "0.2", "--name", "again") == 0  # by the draw alone
    assert {digest: parts(store, "again")[digest] for digest in before} == before
    assert finetune(store, more, "--test", "0.2", "--seed", "9") == 0  # by the earlier split of that name
    assert {digest: parts(store)[digest] for digest in before} == before
    kept = str(store / "catdog" / "split.csv")
    assert finetune(store, more, "--name", "third", "--seed", "8", "--split", kept) == 0
    assert parts(store, "third") == parts(store)


def test_a_base_brings_its_split_and_what_it_has_seen_is_counted(
    store: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures) == 0
    change_trunk(store, "catdog")
    assert finetune(store, pictures, "--base", "catdog", "--name", "second", "--seed", "9") == 0
    assert parts(store, "second") == parts(store)
    seen = {row["sha256"]: row["part"] for row in rows(store / "second" / "seen.csv")}
    assert seen == parts(store)
    capsys.readouterr()
    # Folders that put what the base was trained on into the validation part, and what it held out into the training.
    turned = tmp_path / "turned"
    for row in rows(store / "catdog" / "split.csv"):
        part = "val" if row["part"] == "train" and int(row["sha256"], 16) % 2 else "train"
        (turned / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / row["path"], turned / part / row["path"])
    assert finetune(store, turned, "--base", "catdog", "--name", "third") == 0
    said = capsys.readouterr().out
    held_out = sum(part != "train" for part in parts(store).values())
    assert f"{held_out} images are trained on that 'catdog' was measured by" in said
    assert "pictures measured here: the figures flatter" in said
    assert "the figures flatter" in (store / "third" / "report.html").read_text()
    metrics = json.loads((store / "third" / "manifest.json").read_text())["training"]["metrics"]
    assert metrics["pictures_seen_by_base"] == metrics["pictures"]


def test_evaluating_on_pictures_that_the_model_has_seen_says_so(
    store: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fit(store, pictures, "--test", "0.3") == 0
    taught = sum(part == "train" for part in parts(store).values())
    monkeypatch.setenv("VGG_STORE_DIR", str(store))
    monkeypatch.setenv("VGG_DEVICE", "cpu")
    capsys.readouterr()
    assert evaluate("", ["--data", str(pictures), "--model", "catdog"]) == 0
    assert f"the model was trained on {taught} of these 60 images: the figures flatter" in capsys.readouterr().out
    new, copies = tmp_path / "new", tmp_path / "copies"
    for number in range(90, 93):
        for kind in ("cat", "dog"):
            draw(new / f"{kind}.{number}.png", kind, number)
    copies.mkdir()
    for row in [row for row in rows(store / "catdog" / "split.csv") if row["part"] == "train"][::8]:
        Image.open(pictures / row["path"]).save(copies / row["path"].replace("png", "bmp"))
    assert evaluate("", ["--data", str(new), "--model", "catdog"]) == 0
    assert "trained on" not in capsys.readouterr().out
    assert evaluate("", ["--data", str(copies), "--model", "catdog"]) == 0
    assert f"the model was trained on {len(list(copies.iterdir()))} of these" in capsys.readouterr().out


def test_a_run_that_diverges_says_so_and_exports_nothing(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures, "--lr", "1e30") == 1
    assert "Training has diverged" in capsys.readouterr().err
    assert not (store / "catdog").exists()


def test_a_second_export_with_a_folder_in_it_replaces_the_first(
    store: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's files lie in a folder, which a rename does not replace."""

    def write(history: object, folder: Path) -> None:
        folder.mkdir()
        (folder / "events").touch()

    monkeypatch.setattr("app.training.model_folder.write_tensorboard", write)
    for seed in ("1", "2"):
        assert finetune(store, pictures, "--seed", seed) == 0
        assert (store / "catdog" / "tensorboard" / "events").exists()
    assert ModelStore(store / ".previous", "catdog").is_prepared()


def test_a_model_trained_with_jitter_is_served_at_the_papers_scale(store: Path, pictures: Path) -> None:
    assert finetune(store, pictures, "--augment", "paper", "--epochs", "1") == 0
    preprocessing = json.loads((store / "catdog" / "manifest.json").read_text())["preprocessing"]
    assert preprocessing["resize"] == round(384 * preprocessing["crop"] / 224)
    assert finetune(store, pictures, "--augment", "crop", "--epochs", "1") == 0
    preprocessing = json.loads((store / "catdog" / "manifest.json").read_text())["preprocessing"]
    assert preprocessing["resize"] == round(256 * preprocessing["crop"] / 224)


@pytest.mark.parametrize("augment", ["light", "trivial"])
def test_every_augmentation_teaches(store: Path, pictures: Path, augment: str) -> None:
    steps = ["--epochs", "2", "--lr", "0.05"] if augment == "trivial" else []
    assert fit(store, pictures, "--augment", augment, *steps) == 0
    metrics = json.loads((store / "catdog" / "manifest.json").read_text())["training"]["metrics"]
    assert metrics["top1"] > 0.9


def test_too_few_pictures_to_measure_by_are_an_error(
    store: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat.0.png", "dog.0.png", "dog.1.png"):
        shutil.copy(pictures / name, tmp_path / name)
    assert fit(store, tmp_path) == 1
    assert "of cat there are not two that do not look alike" in capsys.readouterr().err
