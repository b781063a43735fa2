"""From a folder of images to a served model, by the script that users run."""

import csv
import hashlib
import json
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from safetensors.torch import load_file

from app.model.store import ModelStore
from tests.running import ROOT, running_process
from tests.training.command import finetune, history, weights
from tests.training.conftest import BASE

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
        "report.html",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    metrics = manifest["training"]["metrics"]
    assert metrics["top1"] == metrics["top1_ten_crop"] == 1.0
    assert "top-1 100.00% (12/12" in said
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
    settings = {
        "VGG_STORE_DIR": str(store),
        "VGG_MODEL": BASE,
        "VGG_API_KEYS": "k",
        "VGG_DEVICE": "cpu",
        "VGG_MAX_QUEUE_DELAY_S": "60",
    }
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
    with running_process(settings | {"VGG_API_KEYS": ""}) as (url, _):
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
        (["--train", "block5"], "needs one of torchvision's VGGs"),
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
