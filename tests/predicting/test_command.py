"""The door, with the embedded network's real weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.predicting.command import main
from tests.pictures import photograph

MODEL = "efficientnet_lite0"


@pytest.fixture
def cat(tmp_path: Path, embedded_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGG_STORE_DIR", str(embedded_store))
    monkeypatch.setenv("VGG_DECODE", "exact")
    photograph().save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_a_table_in_two_languages_and_the_pictures(cat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, given = cat.with_name("out.png"), cat.with_name("given.png")
    arguments = [str(cat), "--model", MODEL, "--top-k", "2", "--save", str(out), "--show-input", str(given)]
    assert main("help", arguments) == 0
    text = capsys.readouterr().out
    assert "single, 1 view)" in text
    lines = [line.split("  ") for line in text.splitlines() if line.startswith("   ")]
    assert len(lines) == 2
    assert any("猫" in line[-1] for line in lines)
    with Image.open(out) as picture, Image.open(given) as sheet:
        assert picture.width > 2 * 600
        shown = np.asarray(sheet)
    resized = photograph().resize((int(256 * photograph().width / photograph().height), 256), Image.Resampling.BICUBIC)
    left = round((resized.width - 224) / 2)
    assert np.array_equal(shown[:224, :224], np.asarray(resized)[16:240, left : left + 224])


def test_several_photographs_and_one_that_is_broken(cat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = cat.with_name("broken.png")
    broken.write_bytes(cat.read_bytes()[:2000])
    arguments = [str(cat), str(broken), str(cat.with_name("missing")), "--model", MODEL, "--evaluation", "auto"]
    assert main("help", arguments) == 1
    captured = capsys.readouterr()
    assert "cat.png" in captured.out
    assert "broken.png: The PNG image is truncated or corrupt." in captured.err
    assert "missing" in captured.err
    assert main("help", [str(cat), str(cat), "--model", MODEL, "--save", str(cat.with_name("out.png"))]) == 0
    assert cat.with_name("out-cat.png").is_file()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--evaluation", "dense"], "has no dense form"),
        (["--scales", "12"], "from 224 to 1024"),
        (["--save", "/no/where.png"], "cannot be written"),
        (["--model", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_done_is_said(
    cat: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("help", [str(cat), "--model", MODEL, *more]) == 1
    assert words in capsys.readouterr().err
