"""Matrix profiles, converted as lcms converts them."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.image import profile
from app.image.color import SRGB, SRGB_MATRIX
from app.image.profile import MatrixProfile, ToSrgb
from app.image.views import Pixels
from tests.pictures import ADOBE_RGB, curve_tag, matrix_profile, parametric_tag, photograph, wide_gamut_profile
from tests.running import ROOT

DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
SRGB_CURVE = parametric_tag(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
PROFILES = {
    "Adobe RGB": wide_gamut_profile(),
    "Display P3": matrix_profile([SRGB_CURVE] * 3, DISPLAY_P3),
    "ProPhoto": matrix_profile([curve_tag(1.8)] * 3, PROPHOTO),
    "a table": matrix_profile([curve_tag(*(np.linspace(0, 1, 1024) ** 2))] * 3, ADOBE_RGB),
    "a table of two": matrix_profile([curve_tag(0.0, 1.0)] * 3, ADOBE_RGB),
    "linear": matrix_profile([b"curv" + struct.pack(">II", 0, 0)] * 3, DISPLAY_P3),
    "formula 0": matrix_profile([parametric_tag(0, 1.8)] * 3, PROPHOTO),
    "formula 1": matrix_profile([parametric_tag(1, 2.0, 1.1, -0.1)] * 3, ADOBE_RGB),
    "formula 2": matrix_profile([parametric_tag(2, 2.0, 0.9, 0.05, -0.0025)] * 3, ADOBE_RGB),
    "formula 4": matrix_profile([parametric_tag(4, 2.4, 0.95, 0.05, 0.08, 0.04, 0.0, 0.0)] * 3, ADOBE_RGB),
    "unlike curves": matrix_profile([curve_tag(2.2), curve_tag(1.8), SRGB_CURVE], ADOBE_RGB),
}
# Its black is a dark gray, for which lcms makes up.
RAISED_BLACK = matrix_profile([parametric_tag(2, 2.0, 0.9, 0.05, 0.01)] * 3, ADOBE_RGB)


def every_fifth_level() -> Pixels:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)


@pytest.mark.parametrize("given", PROFILES.values(), ids=PROFILES)
def test_all_colours_are_within_a_level_of_what_lcms_makes_of_them(given: bytes) -> None:
    colors = every_fifth_level()
    transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(given)), SRGB, "RGB", "RGB")
    expected = np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))
    ToSrgb(MatrixProfile(given), SRGB_MATRIX).convert(colors)
    off_by = np.abs(colors.astype(int) - expected.astype(int))
    assert off_by.max() <= 1
    assert (off_by == 0).mean() > 0.9


@pytest.mark.parametrize("name", ["Adobe RGB", "unlike curves"])
def test_how_the_picture_is_divided_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conversion = ToSrgb(MatrixProfile(PROFILES[name]), SRGB_MATRIX)
    whole = np.array(photograph())
    parts = whole.copy()
    conversion.convert(whole)
    for block_pixels in (100, 1000, 10**9):
        again = parts.copy()
        monkeypatch.setattr(profile, "BLOCK_PIXELS", block_pixels)
        conversion.convert(again)
        assert np.array_equal(whole, again)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_process_with_little_memory_can_convert() -> None:
    code = (
        "import resource, numpy\n"
        "from app.image.color import convert_to_srgb\n"
        "from tests.pictures import wide_gamut_profile\n"
        "pixels, profile = numpy.zeros((375, 500, 3), numpy.uint8), wide_gamut_profile()\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmData'))\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (used + 16 * 2**20, resource.RLIM_INFINITY))\n"
        "convert_to_srgb(pixels, profile)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


BROKEN = {
    "nothing": b"",
    "a header alone": wide_gamut_profile()[:128],
    "no tags": wide_gamut_profile()[:128] + bytes(4),
    "too many tags": wide_gamut_profile()[:128] + b"\xff" * 4 + wide_gamut_profile()[132:],
    "cut off": wide_gamut_profile()[:400],
    "a curve is missing": wide_gamut_profile().replace(b"gTRC", b"xTRC"),
    "another device": wide_gamut_profile().replace(b"RGB XYZ ", b"CMYKLab "),
    "a table of its own": wide_gamut_profile().replace(b"cprt", b"A2B0"),
    "an unknown curve": wide_gamut_profile().replace(b"curv", b"what"),
    "an unknown formula": matrix_profile([parametric_tag(5, *[1.0] * 9)] * 3, ADOBE_RGB),
    "a formula without numbers": matrix_profile([parametric_tag(3, 2.4)] * 3, ADOBE_RGB),
    "a formula that divides by zero": matrix_profile([parametric_tag(1, 2.4, 0.0, 0.5)] * 3, ADOBE_RGB),
    "a formula without bounds": matrix_profile([parametric_tag(0, -2.0)] * 3, ADOBE_RGB),
    "a formula beyond numbers": matrix_profile([parametric_tag(3, 32000.0, 32000.0, 1.0, 0.0, 0.0)] * 3, ADOBE_RGB),
    "a table cut off": matrix_profile([b"curv" + struct.pack(">II", 0, 1000)] * 3, ADOBE_RGB),
    "a huge table": matrix_profile([b"curv" + struct.pack(">II", 0, 40_000) + bytes(80_000)] * 3, ADOBE_RGB),
}


@pytest.mark.parametrize("given", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_or_of_another_kind_is_refused(given: bytes) -> None:
    with pytest.raises(ValueError, match=r"profile|buffer"):
        MatrixProfile(given)
