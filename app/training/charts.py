"""Charts as inline SVG: lines over epochs, and the reliability diagram. Light, and drawn without a library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from app.training.scores import Bin

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 14, 30
COLOURS = ("#2f6fde", "#d9632a", "#3a9d5d", "#8a5bd1")
TICKS = 4
FEW_POINTS = 12  # which get a dot each


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from ``low`` to ``high`` along ``length`` pixels that start at ``offset``."""

    low: float
    high: float
    offset: float
    length: float

    def place(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.offset + self.length * (value - self.low) / span

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * step / TICKS for step in range(TICKS + 1)]


def line_chart(title: str, series: Mapping[str, Sequence[float]], *, percent: bool = False) -> str:
    """One line per series over epochs 1, 2, 3, …"""
    values = [value for line in series.values() for value in line]
    epochs = max(len(line) for line in series.values())
    margin = (max(values) - min(values)) * 0.08 or 0.01
    low, high = min(values) - margin, max(values) + margin
    if percent:
        high = min(high, 1.0)
    x, y = _axes(1, max(epochs, 2), max(low, 0.0), high)
    parts = [_grid(y, percent=percent), _epoch_labels(x, epochs)]
    for colour, line in zip(COLOURS, series.values(), strict=False):
        points = " ".join(f"{x.place(n):.1f},{y.place(value):.1f}" for n, value in enumerate(line, start=1))
        dots = "".join(
            f'<circle cx="{x.place(n):.1f}" cy="{y.place(v):.1f}" r="2.6" fill="{colour}"/>'
            for n, v in enumerate(line, start=1)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}')
    return _figure(title, parts, dict(zip(series, COLOURS, strict=False)))


def reliability_chart(title: str, before: Sequence[Bin], after: Sequence[Bin]) -> str:
    """Accuracy over confidence; on the diagonal a probability means what it says. Larger dots hold more answers."""
    x, y = _axes(0, 1, 0, 1)
    diagonal = (
        f'<line x1="{x.place(0)}" y1="{y.place(0)}" x2="{x.place(1)}" y2="{y.place(1)}" '
        'stroke="#9aa3b2" stroke-dasharray="4 4"/>'
    )
    labels = "".join(
        f'<text x="{x.place(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:.0%}</text>'
        for tick in x.ticks()
    )
    parts = [_grid(y, percent=True), labels, diagonal]
    total = max(1, sum(one.count for one in before))
    for colour, bins in zip(COLOURS, (before, after), strict=False):
        parts += [
            f'<circle cx="{x.place(one.confidence):.1f}" cy="{y.place(one.accuracy):.1f}" '
            f'r="{3 + 9 * (one.count / total) ** 0.5:.1f}" fill="{colour}" fill-opacity="0.65">'
            f"<title>{one.count} answers, confidence {one.confidence:.1%}, accuracy {one.accuracy:.1%}</title></circle>"
            for one in bins
        ]
    return _figure(title, parts, {"before": COLOURS[0], "after temperature": COLOURS[1]})


def point_chart(title: str, points: Sequence[tuple[float, float]], *, percent_x: bool) -> str:
    """A line through points (x, share), from the smallest x on."""
    ordered = sorted(points)
    highest = max((y for _, y in ordered), default=0.0) or 0.01
    left, right = (0.0, 1.0) if percent_x else (0.0, max((x for x, _ in ordered), default=1.0))
    x, y = _axes(left, right, 0.0, highest * 1.08)
    labels = "".join(
        f'<text x="{x.place(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
        f"{f'{tick:.0%}' if percent_x else f'{tick:.0f}'}</text>"
        for tick in x.ticks()
    )
    line = " ".join(f"{x.place(one):.1f},{y.place(other):.1f}" for one, other in ordered)
    drawn = f'<polyline points="{line}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>'
    if len(ordered) <= FEW_POINTS:
        drawn += "".join(
            f'<circle cx="{x.place(one):.1f}" cy="{y.place(other):.1f}" r="3" fill="{COLOURS[0]}"/>'
            for one, other in ordered
        )
    return _figure(title, [_grid(y, percent=True), labels, drawn], {})


def _axes(left: float, right: float, low: float, high: float) -> tuple[Axis, Axis]:
    x = Axis(left, right, LEFT, WIDTH - LEFT - RIGHT)
    y = Axis(low, high, HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM))
    return x, y


def _grid(y: Axis, *, percent: bool) -> str:
    return "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.place(tick):.1f}" y2="{y.place(tick):.1f}" stroke="#e6e9ef"/>'
        f'<text x="{LEFT - 8}" y="{y.place(tick) + 4:.1f}" text-anchor="end">'
        f"{f'{tick:.1%}' if percent else f'{tick:.3g}'}</text>"
        for tick in y.ticks()
    )


def _epoch_labels(x: Axis, epochs: int) -> str:
    every = max(1, epochs // 8)
    return "".join(
        f'<text x="{x.place(n):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{n}</text>'
        for n in range(1, epochs + 1, every)
    )


def _figure(title: str, parts: Sequence[str], legend: Mapping[str, str]) -> str:
    keys = " ".join(f'<span><i style="background:{c}"></i>{escape(name)}</span>' for name, c in legend.items())
    return (
        f"<figure><figcaption><b>{escape(title)}</b> {keys}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )
