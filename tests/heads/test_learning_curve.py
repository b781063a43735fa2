import pytest

from app.heads.cross_fit import CurvePoint
from app.heads.learning_curve import gain_from_doubling


def test_a_power_law_is_carried_on() -> None:
    points = [CurvePoint(n, 2 * n**-0.5) for n in (100, 200, 400, 800)]
    assert gain_from_doubling(points) == pytest.approx(points[-1].error - 2 * 1600**-0.5)


def test_more_pictures_never_cost_anything_and_too_few_points_say_nothing() -> None:
    assert gain_from_doubling([CurvePoint(n, 0.1 + n / 1e4) for n in (100, 200, 400)]) == 0
    assert gain_from_doubling([CurvePoint(100, 0.2), CurvePoint(200, 0.1)]) is None
    assert gain_from_doubling([CurvePoint(n, 0.0) for n in (100, 200, 400)]) is None
    assert gain_from_doubling([]) is None
