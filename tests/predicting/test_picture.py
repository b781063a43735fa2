from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import ModelError
from app.model.evaluation import Heatmap
from app.predicting.font import PACKAGE, find_font, open_font
from app.predicting.picture import MARGIN, annotate
from tests.model.prepared import LABELS

FONT = find_font(None)  # the development dependencies bring one


def test_colour_lies_where_the_map_says_and_nowhere_else() -> None:
    photograph = Image.new("RGB", (640, 320), (90, 90, 90))
    values = [[[8.0, -8.0]], [[-1.0, -2.0]]]
    heatmap = Heatmap((0.25, 0.25, 0.75, 0.75), values)
    picture = np.asarray(annotate(photograph, [(LABELS[281], 0.7), (LABELS[282], 0.2)], heatmap, FONT))
    first = picture[MARGIN : MARGIN + 320, MARGIN : MARGIN + 640].astype(int)
    changed = np.abs(first - 90).sum(2) > 0
    assert changed[160, 200]  # in the box, on the side that speaks for it
    assert not changed[160, 470]  # in the box, on the side that speaks against it
    assert not changed[:60].any()
    assert not changed[:, :150].any()
    second = picture[MARGIN : MARGIN + 320, 2 * MARGIN + 640 : 2 * MARGIN + 1280]
    assert (second == 90).all()
    words = picture[MARGIN + 322 : MARGIN + 350, MARGIN : MARGIN + 300]
    assert (words < 100).any()


def test_the_font_draws_chinese_characters_apart() -> None:
    font = open_font(FONT, 24)
    drawn = {bytes(font.getmask(character)) for character in ("猫", "狗", "虎", "鸟", "a", "\U0001fffe")}
    assert len(drawn) == 6


def test_a_font_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="there is no font"):
        find_font(tmp_path / "none.ttf")
    (tmp_path / "text.ttf").write_text("text")
    with pytest.raises(ModelError, match="is no font"):
        open_font(find_font(tmp_path / "text.ttf"), 12)
    monkeypatch.setattr("app.predicting.font.SYSTEM", ())
    monkeypatch.setattr("app.predicting.font.PACKAGE", f"{PACKAGE}_that_is_not_there")
    with pytest.raises(ModelError, match="extra 'pictures'"):
        find_font(None)
