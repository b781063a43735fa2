"""What is wanted of a photograph: how large it becomes, and what of it a network is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import EvaluationTooLarge

Pixels = NDArray[np.uint8]
Interpolation = Literal["bilinear", "bicubic"]
Shape = tuple[int, int, int, int]
"""(views, height, width, 3)"""

# A photograph that is shown as a whole has at most so many pixels: a forward pass over it cannot be interrupted, and
# takes as long as one over 21 squares of 224.
LARGEST_WHOLE = 2**20


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
    def shape(self) -> Shape:
        """Of the pixels: (views, crop, crop, 3)."""
        return (len(self.places), self.crop, self.crop, 3)


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole photograph resized until its short side has ``short_side`` pixels; if ``mirrored``, beside its mirror
    image."""

    short_side: int
    interpolation: Interpolation
    mirrored: bool = False

    @property
    def count(self) -> int:
        return 2 if self.mirrored else 1

    def shape(self, width: int, height: int) -> Shape:
        """For a photograph of that size. Raises ``EvaluationTooLarge``."""
        across, down = resized_size(width, height, self.short_side)
        if across * down > LARGEST_WHOLE:
            raise EvaluationTooLarge(
                f"At a scale of {self.short_side} this photograph has {across}x{down} pixels; one that is looked at "
                f"as a whole may have {LARGEST_WHOLE:,}."
            )
        return (self.count, down, across, 3)


Part = Views | Whole


@dataclass(frozen=True, slots=True)
class Wanted:
    """Several views of one photograph, which is decoded once. Their pixels lie behind each other, part by part."""

    parts: tuple[Part, ...]

    def shapes(self, width: int, height: int, most_pixels: int) -> list[Shape]:
        """Of each part, for a photograph of that size. Raises ``EvaluationTooLarge`` beyond ``most_pixels`` in all."""
        shapes = [part.shape if isinstance(part, Views) else part.shape(width, height) for part in self.parts]
        pixels = sum(count * down * across for count, down, across, _ in shapes)
        if pixels > most_pixels:
            raise EvaluationTooLarge(
                f"The views of this photograph have {pixels:,} pixels; {most_pixels:,} are allowed for it."
            )
        return shapes

    @property
    def least_pixels(self) -> int:
        """Of all views of any photograph."""
        return sum(
            len(part.places) * part.crop**2 if isinstance(part, Views) else part.count * part.short_side**2
            for part in self.parts
        )

    def most_bytes(self, most_pixels: int) -> int:
        """What the pixels of any photograph take at most, when there may be no more than ``most_pixels``."""
        return 3 * min(most_pixels, sum(self._most_pixels()))

    def _most_pixels(self) -> Iterator[int]:
        for part in self.parts:
            yield len(part.places) * part.crop**2 if isinstance(part, Views) else part.count * LARGEST_WHOLE


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height when the short side becomes ``short_side``, rounded as torchvision rounds."""
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side
