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
from app.training.measurement import Measurement
from app.training.scores import Counts, Share, balanced_accuracy, macro_f1
from app.training.split import Sample
from app.training.wording import Wording

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


def write_report(path: Path, name: str, contents: Contents, words: Wording, *, data: Path, reader: Reader) -> None:
    measurement, study = contents.measurement, contents.study
    names = [words.names(label)[0] for label in measurement.labels]
    wrong = [
        (one.sample, _mistake(words, names, one.answered, one.probability, one.sample)) for one in measurement.mistakes
    ]
    made = words.made.format(time=datetime.now(UTC))
    sections = [
        f"<h1>{escape(name)}</h1><div class='quiet'>{made}</div>",
        _cards(words, measurement),
        f"<h2>{words.training}</h2>" + _curves(words, contents.history) if contents.history else "",
        f"<h2>{words.more_pictures}</h2>" + _learning(words, measurement) if measurement.learning else "",
        f"<h2>{words.confusion_matrix}</h2>" + _confusions(words, measurement.matrix, names),
        f"<h2>{words.classes}</h2>" + _classes(words, measurement),
        f"<h2>{words.calibration}</h2>" + _calibration(words, measurement),
        f"<h2>{words.none_of_these}</h2>" + _known(words, measurement),
        _suspects(words, study, names, data, reader) if study else "",
        f"<h2>{words.mistakes.format(count=len(wrong))}</h2>" + gallery(wrong, data, reader, words.nothing),
        f"<h2>{words.how_made}</h2>" + _facts(words, contents.facts),
    ]
    page = (
        f"<!doctype html><html lang='{words.tag}'><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{escape(words.title.format(name=name))}</title>"
        f"<style>{STYLE}</style><main>{''.join(sections)}</main></html>\n"
    )
    path.write_text(page, encoding="utf-8")


def _cards(words: Wording, measurement: Measurement) -> str:
    low, high = measurement.held_out.interval
    cards = [_share(measurement.held_out, words.accuracy_card, low=low, high=high)]
    cards += [_share(share, words.origin_cards[origin]) for origin, share in measurement.by_origin.items()]
    cards.append((f"{balanced_accuracy(measurement.classes):.2%}", words.balanced_card))
    cards.append((f"{macro_f1(measurement.classes):.2%}", words.macro_f1_card))
    if measurement.ten_crop:
        cards.append(_share(measurement.ten_crop, words.ten_crop_card))
    cards.append((f"{measurement.temperature:.2f}", words.temperature_card))
    bodies = (f"<div class='card'><b>{figure}</b><span>{escape(text)}</span></div>" for figure, text in cards)
    warning = ""
    if seen := measurement.answers.seen:
        warning = f"<p class='warning'>{words.seen.format(count=seen)}</p>"
    return f"{warning}<div class='cards'>{''.join(bodies)}</div>"


def _share(share: Share, text: str, **interval: float) -> tuple[str, str]:
    return f"{share.value:.2%}", text.format(count=share.count, **interval)


def _curves(words: Wording, history: Sequence[Row]) -> str:
    def column(name: str) -> list[float]:
        return [row[name] for row in history]

    loss = {words.training_line: column("train_loss"), words.validation_nll_line: column("validation_nll")}
    accuracy = {words.training_line: column("train_accuracy"), words.validation_line: column("validation_accuracy")}
    charts = line_chart(words.loss, loss) + line_chart(words.accuracy, accuracy, percent=True)
    return f"<div class='row'>{charts}</div>"


def _confusions(words: Wording, matrix: Counts, names: Sequence[str]) -> str:
    return _commonest(words, matrix, names) if len(names) > MATRIX_CLASSES else _matrix(words, matrix, names)


def _commonest(words: Wording, matrix: Counts, names: Sequence[str]) -> str:
    """The confusions that happened most often."""
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MATRIX_CLASSES]
    places = [divmod(int(place), len(names)) for place in order]
    rows = [[names[shown], names[answered], str(wrong[shown, answered])] for shown, answered in places]
    return _table(words.confusion_columns, [row for row in rows if row[2] != "0"])


def _matrix(words: Wording, matrix: Counts, names: Sequence[str]) -> str:
    body = ""
    for i, name in enumerate(names):
        shown = max(1, int(matrix[i].sum()))
        cells = "".join(
            f"<td style='background:rgba({RIGHT if i == j else WRONG},{0.5 * value / shown:.3f})'>{value}</td>"
            for j, value in enumerate(matrix[i])
        )
        body += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return f"<table><tr><th>{words.matrix_corner}</th>{head}</tr>{body}</table>"


def _classes(words: Wording, measurement: Measurement) -> str:
    rows = [
        [*words.names(label), _percent(q.precision), _percent(q.recall), _percent(q.f1), str(q.count)]
        for label, q in zip(measurement.labels, measurement.classes, strict=True)
    ]
    return _table(words.class_columns, rows)


def _calibration(words: Wording, measurement: Measurement) -> str:
    before, after = measurement.before, measurement.after
    series = {words.before: before.bins, words.after_temperature: after.bins}
    chart = reliability_chart(words.reliability_chart, series, words.reliability_dot)
    rows = [
        [words.nll, f"{before.nll:.4f}", f"{after.nll:.4f}"],
        [words.calibration_error, f"{before.error:.4f}", f"{after.error:.4f}"],
    ]
    note = f"<p class='quiet'>{words.calibration_note}</p>"
    return f"<div class='row'>{chart}<div>{_table(['', words.before, words.after], rows)}{note}</div></div>"


def _learning(words: Wording, measurement: Measurement) -> str:
    points = [(point.count, point.error) for point in measurement.learning]
    gain = measurement.gain
    said = words.no_gain if gain is None else words.gain.format(points=100 * gain)
    chart = point_chart(words.learning_chart, points, percent_x=False)
    return f"<div class='row'>{chart}<p>{said}</p></div>"


def _known(words: Wording, measurement: Measurement) -> str:
    points = [(point.coverage, point.risk) for point in measurement.curve]
    chart = point_chart(words.known_chart, points, percent_x=True)
    known = measurement.known
    if known is None:
        return chart
    said = words.known_from.format(threshold=known.value, coverage=known.coverage, risk=known.risk)
    return f"<div class='row'>{chart}<p>{said}</p></div>"


def _suspects(words: Wording, study: HeadStudy, names: Sequence[str], data: Path, reader: Reader) -> str:
    shown = [
        (sample, _mistake(words, names, one.predicted, one.probability, sample))
        for one in study.suspects
        for sample in (study.samples[one.row],)
    ]
    head = f"<h2>{words.suspects.format(count=len(shown))}</h2><p class='quiet'>{words.suspects_note}</p>"
    return head + gallery(shown, data, reader, words.nothing)


def _mistake(words: Wording, names: Sequence[str], answered: int, probability: float, sample: Sample) -> str:
    shown, labelled = escape(names[answered]), escape(names[sample.class_index])
    return words.mistake.format(answered=shown, probability=probability, labelled=labelled)


def _facts(words: Wording, facts: Mapping[str, str]) -> str:
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        words.facts.platform: platform.platform(),
    }
    rows = [[name, value] for name, value in {**facts, **versions}.items()]
    return f"<pre>{escape(shlex.join(sys.argv))}</pre><div class='facts'>{_table(['', ''], rows)}</div>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2%}"
