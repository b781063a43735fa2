from xml.etree import ElementTree as ET

from app.inspecting.drawing import draw
from app.inspecting.layers import inspect


def test_columns_stand_side_by_side_and_the_chosen_one_has_a_frame() -> None:
    tables = [("A", inspect("vgg11", 10, 64)), ("C", inspect("vgg16_c", 10, 64))]
    picture = ET.fromstring(draw(tables, "vgg16_c"))  # noqa: S314 - our own
    texts = [one.text or "" for one in picture.iter() if one.tag.endswith("text")]
    assert texts.count("A") == texts.count("C") == 1
    assert "conv3_3: 1x1-256" in texts
    assert texts.count("fc8: 10") == 2
    frames = [one for one in picture.iter() if one.get("stroke")]
    assert len(frames) == 1
    boxes = [one for one in picture.iter() if one.tag.endswith("rect") and one.find("{*}title") is not None]
    assert len(boxes) == (8 + 3 + 5) + (13 + 3 + 5)
    pools = {one.get("y") for one in boxes if "pool5" in (one.findtext("{*}title") or "")}
    assert len(pools) == 2  # a shorter block ends higher up
    firsts = {one.get("y") for one in boxes if "conv5_1:" in (one.findtext("{*}title") or "")}
    assert len(firsts) == 1
