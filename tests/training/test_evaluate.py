"""The script on real weights and on a folder whose right answers are known."""

import csv
import os
import signal
from pathlib import Path

import pytest

from app.training.evaluate import main
from tests.pictures import encode, photograph, plain

NAME = "efficientnet_lite0"
CAT, CUP, ROCKET = "n02124075", "n07920052", "missile"  # a wnid or an English name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photographs: three under what they show, and one that is undecodable."""
    for name, kind in [(CAT, "chelsea"), (CUP, "coffee"), (ROCKET, "rocket")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(encode(photograph(kind)))
    (tmp_path / CAT / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, store: Path, *arguments: str) -> int:
    monkeypatch.setenv("VGG_STORE_DIR", str(store))
    monkeypatch.setenv("VGG_DEVICE", "cpu")
    return main("", ["--model", NAME, *arguments])


def test_top_1_top_5_and_every_answer(
    embedded_store: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predictions = tmp_path / "predictions.csv"
    assert run(monkeypatch, embedded_store, "--data", str(folder), "--csv", str(predictions)) == 0
    said = capsys.readouterr().out
    rows = {row["path"]: row for row in csv.DictReader(predictions.read_text(encoding="utf-8").splitlines())}
    assert rows.keys() == {f"{CAT}/a.png", f"{CUP}/a.png", f"{ROCKET}/a.png"}
    right = sum(int(row["right"]) for row in rows.values())
    top5 = sum(int(row["rank_of_right"]) <= 5 for row in rows.values())
    assert rows[f"{CUP}/a.png"]["predicted"] == "espresso"
    assert f"({right}/3" in said.splitlines()[0]
    assert f"({top5}/3" in said.splitlines()[1]
    assert "images/s" in said
    assert "files left out: 1, such as n02124075/broken.jpg" in said


def test_answers_are_the_services_own(
    embedded_store: Path, real_service: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    predictions = tmp_path / "predictions.csv"
    assert run(monkeypatch, embedded_store, "--data", str(folder), "--csv", str(predictions)) == 0
    for row in csv.DictReader(predictions.read_text(encoding="utf-8").splitlines()):
        answer = httpx.post(f"{real_service}/predict", files={"file": (folder / row["path"]).read_bytes()}, timeout=60)
        first = answer.json()["predictions"][0]
        assert str(first["class_index"]) == row["predicted_index"]
        assert first["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)


def test_ten_crops_of_a_plain_picture_are_one_crop(
    embedded_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, color in ((CAT, (200, 30, 30)), (CUP, (30, 30, 200))):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.png").write_bytes(encode(plain(color)))
    found = []
    for extra in ([], ["--ten-crop"]):
        out = tmp_path / "out.csv"
        assert run(monkeypatch, embedded_store, "--data", str(tmp_path / "data"), "--csv", str(out), *extra) == 0
        found.append([float(row["probability"]) for row in csv.DictReader(out.read_text().splitlines())])
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def test_mistakes_get_one_clear_line(
    embedded_store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, embedded_store, "--data", "nowhere") == 1
    assert capsys.readouterr() == ("", f"Cannot evaluate {NAME}: There is no folder nowhere.\n")
    assert run(monkeypatch, embedded_store, "--data", str(folder), "--csv", "no/such/file.csv") == 1
    assert capsys.readouterr() == ("", "Cannot write no/such/file.csv: there is no such folder.\n")


def test_ctrl_c_ends_it_in_one_line(
    embedded_store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.training.evaluation.load_model", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert run(monkeypatch, embedded_store, "--data", str(folder)) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"
