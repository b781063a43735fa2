"""What a network is really given, as pictures: its normalised input with the transforms inverted."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from app.image.views import Pixels
from app.model.network import FromPixels

COLUMNS = 10
GAP = 4


def given_to(module: FromPixels, pixels: Pixels) -> Pixels:
    """Through normalising, in the precision of the layers, and back: uint8 (views, height, width, 3).

    Nothing is altered in place, and values are rounded and cut off, not wrapped.
    """
    normalise = module.normalise
    with torch.inference_mode():
        batch = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2).to(normalise.mean.device)
        normalised = normalise(batch).to(module.dtype).float()
        inverted = (normalised * normalise.std + normalise.mean) * 255
        back: Pixels = inverted.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return back


def sheet(parts: Sequence[Pixels]) -> Image.Image:
    """All views on one sheet, part below part, in their order."""
    strips = [_grid(part) for part in parts]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(strip, ((0, GAP), (0, width - strip.shape[1]), (0, 0)), constant_values=255) for strip in strips]
    return Image.fromarray(np.concatenate(padded)[:-GAP])


def _grid(part: Pixels) -> Pixels:
    views, height, width, _ = part.shape
    columns = min(COLUMNS, views)
    rows = -(-views // columns)
    grid = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, view in enumerate(part):
        row, column = divmod(number, columns)
        upper, left = row * (height + GAP), column * (width + GAP)
        grid[upper : upper + height, left : left + width] = view
    return grid
