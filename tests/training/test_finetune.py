"""From a folder of pictures to a served model, by the script that users run."""

import csv
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from safetensors.torch import load_file

from app.model.store import ModelStore
from app.training.finetune import main
from tests.running import ROOT, clean_environment, running_process
from tests.training.conftest import BASE

NEW = "made-by-a-test"  # a checkout may have a catdog of its own
EPOCHS = ["--epochs", "4", "--lr", "0.05", "--patience", "0"]


def finetune(store: Path, data: Path, *arguments: str) -> int:
    """The script's main, in this process: importing torch anew takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGG_STORE_DIR", str(store))
        patch.setenv("VGG_DEVICE", "cpu")
        try:
            return main("", ["--data", str(data), "--base", BASE, "--train", "head", *EPOCHS, *arguments])
        except SystemExit as end:
            return int(end.code or 0)


def command(data: Path, *arguments: str) -> list[str]:
    return ["scripts/finetune.py", "--data", str(data), "--base", BASE, "--train", "head", *EPOCHS, *arguments]


def environment(store: Path) -> dict[str, str]:
    return clean_environment() | {"VGG_STORE_DIR": str(store), "VGG_DEVICE": "cpu"}


def weights(store: Path, name: str = "catdog") -> str:
    return hashlib.sha256(ModelStore(store, name).weights.read_bytes()).hexdigest()


def history(store: Path, name: str = "catdog") -> list[dict[str, str]]:
    """metrics.csv without what depends on the clock."""
    with (store / name / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


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


# Everything that a resumed run could get wrong. Batches of 5 of 48 pictures: the last has 3, and uneven shares.
HARD = shlex.split(
    "--augment paper --dropout 0.4 --momentum 0.9 --schedule cosine --batch-size 5 --accumulate 2"
    " --label-smoothing 0.1 --epochs 2"
)


@pytest.fixture(scope="module")
def uninterrupted(tiny_store: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed."""
    store = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(tiny_store / BASE, store / BASE)
    assert finetune(store, pictures, *HARD) == 0
    return store


def kill_when(process: "subprocess.Popen[bytes]", seen: Path, times: int) -> None:
    """SIGKILL once the file has appeared as often."""
    present, count, deadline = False, 0, time.monotonic() + 120
    while count < times and process.poll() is None and time.monotonic() < deadline:
        now = seen.exists()
        count += now and not present
        present = now
    assert process.poll() is None, "it ended before it was killed"
    process.kill()
    process.wait()


@pytest.mark.parametrize(("seen", "times"), [("checkpoint.pt", 1), ("checkpoint.part", 7)])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    uninterrupted: Path, store: Path, pictures: Path, seen: str, times: int
) -> None:
    """In the middle of the first epoch after the first checkpoint, and while a later checkpoint is written."""
    process = subprocess.Popen(
        [sys.executable, *command(pictures, *HARD, "--checkpoint-seconds", "0")],
        cwd=ROOT,
        env=environment(store),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kill_when(process, store / ".training" / "catdog" / seen, times)
    assert not (store / "catdog" / "receipt.json").exists()
    assert (store / ".training" / "catdog" / "checkpoint.pt").exists()
    assert finetune(store, pictures, *HARD, "--resume") == 0
    assert weights(store) == weights(uninterrupted)
    assert history(store) == history(uninterrupted)
    assert not (store / ".training" / "catdog").exists()


def test_two_processes_learn_what_one_does(uninterrupted: Path, store: Path, pictures: Path) -> None:
    torchrun = shlex.split("-m torch.distributed.run --standalone --nproc-per-node 2")
    result = subprocess.run(
        [sys.executable, *torchrun, *command(pictures, *HARD)],
        cwd=ROOT,
        env=environment(store) | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("catdog is in") == 1
    single, double = history(uninterrupted), history(store)
    for name in ("train_accuracy", "validation_accuracy", "lr"):
        assert [row[name] for row in double] == [row[name] for row in single]
    for one, two in zip(single, double, strict=True):
        assert float(two["train_loss"]) == pytest.approx(float(one["train_loss"]), abs=1e-4)
    manifests = [json.loads((each / "catdog" / "manifest.json").read_text()) for each in (uninterrupted, store)]
    assert manifests[0]["training"]["split_sha256"] == manifests[1]["training"]["split_sha256"]
    assert manifests[0]["training"]["metrics"]["top1"] == manifests[1]["training"]["metrics"]["top1"]


def test_an_export_can_be_trained_on_and_refers_to_the_root(store: Path, pictures: Path) -> None:
    assert finetune(store, pictures) == 0
    assert finetune(store, pictures, "--base", "catdog", "--name", "second", "--lr", "0.0001") == 0
    manifest = json.loads((store / "second" / "manifest.json").read_text())
    assert manifest["base"]["model"] == BASE
    assert float(history(store, "second")[0]["train_accuracy"]) > 0.9  # the head was kept


def test_resuming_with_other_settings_is_refused(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("app.training.steps.measure", give_up)
        assert finetune(store, pictures, "--checkpoint-seconds", "0") == 130
    assert "with --resume to go on" in capsys.readouterr().err
    assert finetune(store, pictures, "--lr", "0.01", "--resume") == 1
    assert "lr was 0.05, is 0.01" in capsys.readouterr().err
    assert finetune(store, pictures, "--resume") == 0


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


def test_without_a_checkpoint_resuming_begins_at_the_beginning(
    store: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(store, pictures, "--resume", "--epochs", "1") == 0
    assert "There is no checkpoint to resume from" in capsys.readouterr().out
    assert len(history(store)) == 1
