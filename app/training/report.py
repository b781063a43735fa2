"""``report.html``: everything about a run on one page that needs no other file."""

import math
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
import torch
import torchvision

from app.image.reader import Reader
from app.training.charts import line_chart, point_chart, reliability_chart
from app.training.gallery import gallery
from app.training.head_study import HeadStudy
from app.training.loop import Row
from app.training.measurement import ORIGINS, Measurement
from app.training.scores import Counts, Share, balanced_accuracy, macro_f1
from app.training.split import Sample

# Beyond this many classes a matrix cannot be read, and the page would be large: the commonest confusions are listed.
MATRIX_CLASSES = 25
RIGHT, WRONG = "47,111,222", "217,99,42"
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2433;background:#f6f7fa;margin:0}
main{max-width:960px;margin:0 auto;padding:32px 20px 60px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:34px 0 10px}.quiet{color:#5c667a}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px;margin-top:20px}
.card,figure,table,pre{background:#fff;border:1px solid #e3e7ee;border-radius:10px}
.card{padding:14px 16px}.card b{display:block;font-size:25px}.card span{color:#5c667a;font-size:13px}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:12px}
figure{margin:0;padding:12px}figcaption span{font-size:13px;color:#5c667a;margin-left:10px}
figcaption i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:4px}
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#5c667a}
table{border-collapse:collapse;overflow:hidden}th,td{padding:6px 14px;text-align:right;border-top:1px solid #eef0f4}
th{font-weight:600;color:#5c667a}td:first-child,th:first-child,
.facts td{text-align:left}.facts td:first-child{white-space:nowrap}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px}
.gallery figure{padding:8px;font-size:13px}.gallery img{width:100%;height:140px;object-fit:contain;background:#f0f2f6}
.warning{background:#fdeee6;border:1px solid #d9632a;border-radius:10px;padding:10px 14px}
pre{padding:12px;overflow-x:auto;font-size:13px;white-space:pre-wrap}
"""


@dataclass(frozen=True)
class Contents:
    """``facts`` are told as they are: base, split, what was left out."""

    measurement: Measurement
    history: Sequence[Row]
    study: HeadStudy | None
    facts: Mapping[str, str]


def write_report(path: Path, name: str, contents: Contents, *, data: Path, reader: Reader) -> None:
    measurement, study = contents.measurement, contents.study
    names = [label.label_en for label in measurement.labels]
    wrong = [(one.sample, _answered(names, one.answered, one.probability, one.sample)) for one in measurement.mistakes]
    sections = [
        f"<h1>{escape(name)}</h1><div class='quiet'>fine-tuned {datetime.now(UTC):%Y-%m-%d %H:%M} UTC</div>",
        _cards(measurement),
        "<h2>Training</h2>" + _curves(contents.history) if contents.history else "",
        "<h2>More pictures</h2>" + _learning(measurement) if measurement.learning else "",
        "<h2>Confusion matrix</h2>" + _confusions(measurement),
        "<h2>Classes</h2>" + _classes(measurement),
        "<h2>Calibration</h2>" + _calibration(measurement),
        "<h2>None of these</h2>" + _known(measurement),
        _suspects(study, names, data, reader) if study else "",
        f"<h2>Worst mistakes ({len(wrong)} in all)</h2>" + gallery(wrong, data, reader),
        "<h2>How it was made</h2>" + _facts(contents.facts),
    ]
    page = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{escape(name)}: report</title><style>{STYLE}</style><main>{''.join(sections)}</main></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _cards(measurement: Measurement) -> str:
    low, high = measurement.held_out.interval
    cards = [_share(measurement.held_out, f"images answered right (95% interval: {low:.1%} to {high:.1%})")]
    cards += [_share(share, f"by {origin}: {ORIGINS[origin]}") for origin, share in measurement.by_origin.items()]
    cards.append((f"{balanced_accuracy(measurement.classes):.2%}", "balanced accuracy: the mean over the classes"))
    cards.append((f"{macro_f1(measurement.classes):.2%}", "macro F1"))
    if measurement.ten_crop:
        cards.append(_share(measurement.ten_crop, "the same images, with ten crops"))
    cards.append((f"{measurement.temperature:.2f}", "temperature"))
    bodies = (f"<div class='card'><b>{figure}</b><span>{escape(text)}</span></div>" for figure, text in cards)
    warning = ""
    if seen := measurement.answers.seen:
        warning = f"<p class='warning'>The base was trained on {seen} of these images: the figures flatter.</p>"
    return f"{warning}<div class='cards'>{''.join(bodies)}</div>"


def _share(share: Share, of: str) -> tuple[str, str]:
    return f"{share.value:.2%}", f"of {share.count} {of}"


def _curves(history: Sequence[Row]) -> str:
    def column(name: str) -> list[float]:
        return [row[name] for row in history]

    loss = line_chart("Loss", {"training": column("train_loss"), "validation NLL": column("validation_nll")})
    accuracy = {"training": column("train_accuracy"), "validation": column("validation_accuracy")}
    return f"<div class='row'>{loss}{line_chart('Accuracy', accuracy, percent=True)}</div>"


def _confusions(measurement: Measurement) -> str:
    names = [label.label_en for label in measurement.labels]
    return _commonest(measurement.matrix, names) if len(names) > MATRIX_CLASSES else _matrix(measurement.matrix, names)


def _commonest(matrix: Counts, names: Sequence[str]) -> str:
    """The confusions that happened most often."""
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MATRIX_CLASSES]
    places = [divmod(int(place), len(names)) for place in order]
    rows = [[names[shown], names[answered], str(wrong[shown, answered])] for shown, answered in places]
    return _table(["shown", "answered", "times"], [row for row in rows if row[2] != "0"])


def _matrix(matrix: Counts, names: Sequence[str]) -> str:
    body = ""
    for i, name in enumerate(names):
        shown = max(1, int(matrix[i].sum()))
        cells = "".join(
            f"<td style='background:rgba({RIGHT if i == j else WRONG},{0.5 * value / shown:.3f})'>{value}</td>"
            for j, value in enumerate(matrix[i])
        )
        body += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return f"<table><tr><th>shown \\ answered</th>{head}</tr>{body}</table>"


def _classes(measurement: Measurement) -> str:
    rows = [
        [label.label_en, label.label_zh, _percent(q.precision), _percent(q.recall), _percent(q.f1), str(q.count)]
        for label, q in zip(measurement.labels, measurement.classes, strict=True)
    ]
    return _table(["class", "", "precision", "recall", "F1", "images"], rows)


def _calibration(measurement: Measurement) -> str:
    chart = reliability_chart("Accuracy over confidence", measurement.before.bins, measurement.after.bins)
    rows = [
        ["NLL", f"{measurement.before.nll:.4f}", f"{measurement.after.nll:.4f}"],
        ["calibration error", f"{measurement.before.error:.4f}", f"{measurement.after.error:.4f}"],
    ]
    note = "<p class='quiet'>Each image is judged by the temperature that the others ask for.</p>"
    return f"<div class='row'>{chart}<div>{_table(['', 'before', 'after'], rows)}{note}</div></div>"


def _learning(measurement: Measurement) -> str:
    points = [(point.count, point.error) for point in measurement.learning]
    gain = measurement.gain
    words = "Too few points, or too few mistakes, to say what more pictures would bring."
    if gain is not None:
        words = f"With twice the pictures you would gain about {100 * gain:.1f} percentage points."
    chart = point_chart("Wrong answers after training on so many images", points, percent_x=False)
    return f"<div class='row'>{chart}<p>{words}</p></div>"


def _known(measurement: Measurement) -> str:
    chart = point_chart(
        "Wrong among the answered (risk), over the share that is answered (coverage)",
        [(point.coverage, point.risk) for point in measurement.curve],
        percent_x=True,
    )
    known = measurement.known
    if known is None:
        return chart
    words = (
        f"From a probability of {known.value:.3f} an answer counts as known: {known.coverage:.1%} of pictures "
        f"like these, {known.risk:.2%} of them answered wrong. Below it the service says <code>known: false</code>."
    )
    return f"<div class='row'>{chart}<p>{words}</p></div>"


def _suspects(study: HeadStudy, names: Sequence[str], data: Path, reader: Reader) -> str:
    shown = [
        (sample, _answered(names, one.predicted, one.probability, sample))
        for one in study.suspects
        for sample in (study.samples[one.row],)
    ]
    note = "<p class='quiet'>By heads that have not seen them. All are in suspects.csv, the most suspicious first.</p>"
    return f"<h2>Labels that are probably wrong ({len(shown)})</h2>{note}" + gallery(shown, data, reader)


def _answered(names: Sequence[str], answered: int, probability: float, sample: Sample) -> str:
    return (
        f"answered <b>{escape(names[answered])}</b> ({probability:.1%}), labelled {escape(names[sample.class_index])}"
    )


def _facts(facts: Mapping[str, str]) -> str:
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
    }
    rows = [[name, value] for name, value in {**facts, **versions}.items()]
    return f"<pre>{escape(shlex.join(sys.argv))}</pre><div class='facts'>{_table(['', ''], rows)}</div>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2%}"
