"""A photograph with what was found in it: for each label how sure the network is, and where it saw that."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.model.evaluation import Heatmap
from app.model.labels import Label
from app.predicting.colours import colours
from app.predicting.font import open_font

SIDE = 640  # the longer one of each panel
OPACITY = 0.75
MARGIN = 10
PAPER, INK, GREY = (255, 255, 255), (20, 24, 33), (104, 112, 128)
BAR = 8
SCALE_WIDTH = 160


def annotate(
    photograph: Image.Image, labels: Sequence[tuple[Label, float]], heatmap: Heatmap, font: Path
) -> Image.Image:
    """One panel for each label, side by side: the photograph, coloured where it speaks for the label.

    The colours of all panels are on one scale, from nothing to the strongest place of any; what speaks against a label
    stays as it is. What the network's places do not cover is not coloured.
    """
    photograph = _fitted(photograph)
    strongest = max(max(max(row) for row in values) for values in heatmap.values)
    panels = [
        _panel(photograph, label, probability, _heat(photograph.size, values, heatmap.box, strongest), font)
        for (label, probability), values in zip(labels, heatmap.values, strict=True)
    ]
    width = sum(panel.width for panel in panels) + MARGIN * (len(panels) + 1)
    whole = Image.new("RGB", (width, panels[0].height + 4 * MARGIN + BAR), PAPER)
    left = MARGIN
    for panel in panels:
        whole.paste(panel, (left, MARGIN))
        left += panel.width + MARGIN
    _draw_scale(whole, strongest, font)
    return whole


def _fitted(photograph: Image.Image) -> Image.Image:
    factor = SIDE / max(photograph.size)
    return photograph.resize((max(1, round(photograph.width * factor)), max(1, round(photograph.height * factor))))


def _heat(
    size: tuple[int, int], values: list[list[float]], box: tuple[float, float, float, float], strongest: float
) -> NDArray[np.float64]:
    """How much each pixel speaks for a label, from 0 to 1: (height, width)."""
    width, height = size
    left, upper, right, lower = (round(edge * side) for edge, side in zip(box, (width, height) * 2, strict=True))
    places = Image.fromarray(np.asarray(values, dtype=np.float32))
    inside = places.resize((max(1, right - left), max(1, lower - upper)), Image.Resampling.BICUBIC)
    heat = np.zeros((height, width))
    heat[upper:lower, left:right] = np.asarray(inside)[: height - upper, : width - left]
    return np.clip(heat / strongest, 0, 1) if strongest > 0 else heat * 0


def _panel(
    photograph: Image.Image, label: Label, probability: float, heat: NDArray[np.float64], font: Path
) -> Image.Image:
    pixels = np.asarray(photograph).astype(np.float64)
    opacity = OPACITY * np.sqrt(heat)[:, :, None]
    coloured = Image.fromarray((pixels * (1 - opacity) + colours(heat) * opacity).round().astype(np.uint8))
    panel = Image.new("RGB", (photograph.width, photograph.height + 58), PAPER)
    panel.paste(coloured, (0, 0))
    draw = ImageDraw.Draw(panel)
    words, small = open_font(font, 20), open_font(font, 16)
    draw.text((0, photograph.height + 4), f"{label.label_en}  {label.label_zh}", INK, words)
    draw.text((0, photograph.height + 32), f"{probability:.1%}", GREY, small)
    bar = 70, photograph.height + 40
    draw.rectangle((*bar, photograph.width - 1, bar[1] + BAR), fill=(230, 233, 239))
    draw.rectangle((*bar, bar[0] + round((photograph.width - 1 - bar[0]) * probability), bar[1] + BAR), fill=INK)
    return panel


def _draw_scale(whole: Image.Image, strongest: float, font: Path) -> None:
    """What the colours mean: logits over the mean of all classes."""
    draw, small = ImageDraw.Draw(whole), open_font(font, 12)
    ramp = Image.fromarray(np.tile(colours(np.linspace(0, 1, SCALE_WIDTH)), (BAR, 1, 1)))
    upper = whole.height - MARGIN - BAR
    whole.paste(ramp, (MARGIN + 16, upper))
    draw.text((MARGIN, upper - 4), "0", GREY, small)
    draw.text(
        (MARGIN + SCALE_WIDTH + 24, upper - 4), f"{strongest:.1f}: how much a place speaks for the label", GREY, small
    )
