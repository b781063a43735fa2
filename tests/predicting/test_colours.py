import numpy as np

from app.predicting.colours import TABLE, colours


def test_the_map_grows_evenly_brighter() -> None:
    """By CIE's lightness, computed from linear light."""
    share = TABLE / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness)
    assert (steps > -0.2).all()
    assert np.abs(lightness - np.linspace(lightness[0], lightness[-1], 256)).max() < 6


def test_values_beyond_the_ends_have_the_colours_of_the_ends() -> None:
    found = colours(np.array([[-1.0, 0.0], [1.0, 2.0]]))
    assert found.shape == (2, 2, 3)
    assert np.array_equal(found[0, 0], TABLE[0])
    assert np.array_equal(found[1, 1], TABLE[255])
