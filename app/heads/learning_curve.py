"""What more pictures would be worth: a power law through the error after fewer (Hestness et al. 2017)."""

import math
from collections.abc import Sequence

import numpy as np

from app.heads.cross_fit import CurvePoint


def gain_from_doubling(curve: Sequence[CurvePoint]) -> float | None:
    """How much the error would fall with twice the pictures of the last point, as a share of all answers.

    ``None`` where fewer than three points, or no errors, leave nothing to draw a line through; never less than 0.
    """
    points = [point for point in curve if point.error > 0]
    if len(points) < 3 or curve[-1].error == 0:
        return None
    slope, _ = np.polyfit([math.log(p.count) for p in points], [math.log(p.error) for p in points], 1)
    return max(0.0, float(curve[-1].error * (1 - 2 ** min(0.0, slope))))
