"""What is wanted of a photograph: how large it becomes, and which squares of it a network is shown."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Interpolation = Literal["bilinear", "bicubic"]


class Place(NamedTuple):
    """Where a crop lies in the room that it has: ``x`` from 0 (left) to 1 (right), ``y`` from 0 (top) to 1 (bottom).

    A mirrored crop is cut first and turned left to right then.
    """

    x: float = 0.5
    y: float = 0.5
    mirrored: bool = False


CENTRE = Place()


@dataclass(frozen=True, slots=True)
class Views:
    """The photograph resized until its short side has ``short_side`` pixels, and a square of ``crop`` at each place."""

    short_side: int
    crop: int
    interpolation: Interpolation
    places: tuple[Place, ...] = (CENTRE,)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the pixels: (views, crop, crop, 3)."""
        return (len(self.places), self.crop, self.crop, 3)
