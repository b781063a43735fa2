"""The charts are read back as the XML that they are."""

import re
from xml.etree import ElementTree

import pytest

from app.training.charts import line_chart, reliability_chart
from app.training.scores import Bin


def tree(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)  # noqa: S314 - our own


def lines(chart: str) -> list[list[tuple[float, float]]]:
    """The points of each line, in pixels from the upper left corner."""
    found = tree(chart).iter("polyline")
    return [[(float(x), float(y)) for x, y in re.findall(r"(\S+),(\S+)", each.attrib["points"])] for each in found]


def texts(chart: str, anchor: str) -> list[str]:
    """What stands at the axis: ``end`` for the vertical one, ``middle`` for the other."""
    return [each.text or "" for each in tree(chart).iter("text") if each.attrib["text-anchor"] == anchor]


def test_a_line_per_series_and_more_is_higher_up() -> None:
    first, second = lines(line_chart("Loss", {"training": [3.0, 2.0, 1.0], "validation": [1.0, 1.0, 2.0]}))
    assert [x for x, _ in first] == [x for x, _ in second] == sorted(x for x, _ in first)
    assert first[0][1] < first[1][1] < first[2][1]
    assert first[1][1] == second[2][1]
    assert first[1][1] == pytest.approx((first[0][1] + first[2][1]) / 2, abs=0.1)


def test_accuracy_is_in_per_cent_and_never_more_than_100() -> None:
    chart = line_chart("Accuracy", {"training": [0.5, 1.0]}, percent=True)
    assert texts(chart, "end")[-1] == "100.0%"
    assert lines(chart)[0][-1][1] == pytest.approx(14, abs=0.1)  # the upper edge


def test_many_epochs_get_a_label_now_and_then_and_a_single_one_is_drawn() -> None:
    chart = line_chart("Loss", {"training": [1.0 / n for n in range(1, 41)]})
    assert texts(chart, "middle") == [f"{n}" for n in range(1, 41, 5)]
    assert len(lines(line_chart("Loss", {"training": [0.3]}))[0]) == 1


def test_titles_are_text() -> None:
    chart = line_chart("Loss <b>", {"a & b": [1.0]})
    caption = "".join(tree(chart).itertext())
    assert "Loss <b>" in caption
    assert "a & b" in caption


def test_true_probabilities_lie_on_the_diagonal() -> None:
    bins = {"before": [Bin(3, 0.25, 0.25)], "after": [Bin(1, 0.75, 0.75), Bin(2, 0.9, 0.5)]}
    chart = tree(reliability_chart("R", bins, "{count} at {confidence:.0%}"))
    dashed = next(each.attrib for each in chart.iter("line") if "stroke-dasharray" in each.attrib)
    x1, y1, x2, y2 = (float(dashed[name]) for name in ("x1", "y1", "x2", "y2"))
    assert [dot.findtext("title") for dot in chart.iter("circle")] == ["3 at 25%", "1 at 75%", "2 at 90%"]
    dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in chart.iter("circle")]
    above = [y - (y1 + (x - x1) / (x2 - x1) * (y2 - y1)) for x, y in dots]
    assert above[:2] == pytest.approx([0, 0], abs=0.2)
    assert above[2] > 50  # less often right than it says: below the line
