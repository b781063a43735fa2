import re
from pathlib import Path

import numpy as np
import torch

from app.image.reader import Reader
from app.model.labels import Label
from app.training.gallery import LARGEST
from app.training.measurement import NO_FOLD, Answers, Measurement, Origin, measure
from app.training.report import MATRIX_CLASSES, Contents, write_report
from app.training.split import Sample
from tests.training.conftest import draw

HISTORY = [
    {"train_loss": 0.7 / n, "validation_nll": 0.8 / n, "train_accuracy": 1 - 0.3 / n, "validation_accuracy": 0.9}
    for n in (1, 2, 3)
]


def measurement(names: list[str], wrong: set[int], count: int, seen: int = 0) -> Measurement:
    """Images 0, 1, … of the classes in turn; those in ``wrong`` are taken for the next class."""
    labels = [Label(index, None, name, f"{name}的", (), ()) for index, name in enumerate(names)]
    samples, logits = [], torch.zeros(count, len(names))
    for n in range(count):
        shown = n % len(names)
        logits[n, (shown + (n in wrong)) % len(names)] = 4 + n / count
        samples.append(Sample(n, "test" if n % 2 else "calibration", shown, names[shown], f"{n}.png", f"{n}"))
    origins: list[Origin] = ["test" if n % 2 else "calibration" for n in range(count)]
    folds = np.array([NO_FOLD if n % 2 else n % 3 for n in range(count)])
    return measure(labels, Answers(samples, origins, logits, folds, seen), 0.95)


def write(folder: Path, found: Measurement) -> str:
    path = folder / "report.html"
    contents = Contents(found, HISTORY, None, {"base": "vgg16 <real>"})
    write_report(path, "cats & dogs", contents, data=folder, reader=Reader(10**8, exact=False))
    return path.read_text(encoding="utf-8")


def test_mistakes_are_shown_the_worst_first_and_not_all_of_many(tmp_path: Path) -> None:
    for n in range(60):
        draw(tmp_path / f"{n}.png", "cat", n)
    page = write(tmp_path, measurement(["cat", "dog"], set(range(30, 60)), 60))
    shown = r"base64,[^']{500,}'><span class='path'>(\d+)\.png</span><br>answered <b>cat</b> \((\d+\.\d)%"
    figures = [(int(name), float(percent)) for name, percent in re.findall(shown, page)]
    assert len(figures) > 5  # the others show cats
    assert all(name in range(30, 60) for name, _ in figures)
    assert [percent for _, percent in figures] == sorted((percent for _, percent in figures), reverse=True)
    assert page.count("<figure><img") == LARGEST
    assert "Worst mistakes (30 in all)" in page


def test_the_page_needs_no_other_file_and_takes_names_for_text(tmp_path: Path) -> None:
    page = write(tmp_path, measurement(["<script>", "a & b"], set(), 12))
    assert not re.search(r"(src|href)\s*=(?!'data:)|url\(|@import|<script", page)
    assert "&lt;script&gt;" in page
    assert "<title>cats &amp; dogs: report</title>" in page
    assert "vgg16 &lt;real&gt;" in page
    assert "<p>None.</p>" in page


def test_each_figure_says_what_it_is_of(tmp_path: Path) -> None:
    draw(tmp_path / "1.png", "dog", 1)
    page = write(tmp_path, measurement(["cat", "dog"], {1}, 12))
    assert "<b>91.67%</b><span>of 12 images answered right (95% interval: 64.6% to 98.5%)</span>" in page
    assert "<b>83.33%</b><span>of 6 by test: held out; chose nothing</span>" in page
    assert "<b>100.00%</b><span>of 6 by calibration: held out; chose nothing but the temperature" in page
    assert "the figures flatter" not in page
    assert "trained on 4 of these images: the figures flatter" in write(
        tmp_path, measurement(["cat", "dog"], {1}, 12, 4)
    )
    assert "From a probability of 0." in page
    rows = dict(re.findall(r"<tr><td>(cat|dog)</td>((?:<td style[^>]*>\d+</td>)+)", page))
    assert {name: re.findall(r">(\d+)<", row) for name, row in rows.items()} == {"cat": ["6", "0"], "dog": ["1", "5"]}


def test_a_class_that_was_never_answered_has_no_precision(tmp_path: Path) -> None:
    draw(tmp_path / "2.png", "dog", 1)
    page = write(tmp_path, measurement(["a", "b", "c"], {2}, 3))
    assert "<tr><td>c</td><td>c的</td><td>–</td><td>0.00%</td><td>0.00%</td><td>1</td></tr>" in page


def test_of_many_classes_the_commonest_confusions_are_listed(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(MATRIX_CLASSES + 1)]
    for n in (0, 3, 3 + len(names)):
        draw(tmp_path / f"{n}.png", "cat", n)
    page = write(tmp_path, measurement(names, {0, 3, 3 + len(names)}, 3 * len(names)))
    table = page[page.index("Confusion matrix") : page.index("<h2>Classes")]
    assert re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(\d+)</td></tr>", table) == [
        ("c3", "c4", "2"),
        ("c0", "c1", "1"),
    ]
