import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from app.inspecting.command import main
from tests.model.prepared import put_model


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main("help", list(arguments)) == 0
    return capsys.readouterr().out


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    text = ask(capsys)
    assert "138,357,544 parameters" in text
    assert "15,470,264,320 multiply-adds" in text
    assert "net D of the paper" in text
    assert "27 C² weights instead of 49 C²" in text
    assert "81% more" in text


def test_programs_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(ask(capsys, "vgg11_lrn", "--json", "--batch-size", "2"))
    rows = list(csv.DictReader(StringIO(ask(capsys, "vgg11_lrn", "--csv", "--batch-size", "2"))))
    assert found["totals"]["parameters"] == sum(int(row["parameters"]) for row in rows) == 132_863_336
    assert [row["name"] for row in rows] == [layer["name"] for layer in found["layers"]]
    assert found["batch_size"] == 2


def test_a_models_name_stands_for_its_architecture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(tmp_path, "mine", architecture="vgg13")
    monkeypatch.setenv("VGG_STORE_DIR", str(tmp_path))
    assert "vgg13, net B" in ask(capsys, "mine")
    assert "2 classes" in ask(capsys, "mine", "--classes", "2")


def test_a_drawing_of_one_that_the_paper_lacks_has_a_column_more(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "nets.svg"
    ask(capsys, "vgg16_bn", "--size", "64", "--svg", str(out))
    assert out.read_text(encoding="utf-8").count("weight layers") == 7


def test_what_cannot_be_shown_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main("help", ["alexnet"]) == 1
    assert "none of vgg11" in capsys.readouterr().err
    assert main("help", ["vgg11", "--svg", str(tmp_path / "no" / "where.svg")]) == 1
    with pytest.raises(SystemExit):
        main("help", ["vgg11", "--size", "16"])
