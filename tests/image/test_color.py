"""Every mode of Pillow's, and profiles, become sRGB."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import UndecodableImage
from app.image.color import MAX_PROFILE_BYTES, SRGB, convert_to_srgb, to_srgb
from tests.image.test_profile import PROFILES, RAISED_BLACK
from tests.pictures import difference, photograph, plain, wide_gamut_profile

COLOR = (150, 200, 100)


def with_profile(profile: bytes) -> Image.Image:
    image = plain(COLOR)
    image.info["icc_profile"] = profile
    return image


def own_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [own_profile(), b"not a profile", bytes(MAX_PROFILE_BYTES + 1)])
def test_a_profile_that_changes_nothing_or_is_none_leaves_the_pixels_alone(profile: bytes) -> None:
    image = with_profile(profile)
    assert to_srgb(image).getpixel((0, 0)) == COLOR
    pixels = np.array(image)
    convert_to_srgb(pixels, profile)
    assert np.array_equal(pixels, np.asarray(image))


def test_another_profile_is_converted() -> None:
    image = with_profile(wide_gamut_profile())
    assert to_srgb(image).getpixel((0, 0)) != COLOR


def by_lcms(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture as lcms alone converts it, or as it is where lcms cannot."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.applyTransform(image, ImageCms.buildTransform(source, SRGB, "RGB", "RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    assert converted is not None
    return converted


def furthest(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_photographs_are_converted_as_lcms_does_it(profile: bytes) -> None:
    for name in ("chelsea", "coffee", "rocket", "astronaut"):
        image = photograph(name)
        expected = by_lcms(image, profile)
        image.info["icc_profile"] = profile
        converted = to_srgb(image)
        assert furthest(converted, expected) <= 1
        assert difference(converted, expected) < 0.1
        pixels = np.array(image)
        convert_to_srgb(pixels[10:-20, 30:-40], profile)
        assert np.array_equal(pixels[10:-20, 30:-40], np.asarray(converted)[10:-20, 30:-40])
        pixels[10:-20, 30:-40] = np.asarray(image)[10:-20, 30:-40]
        assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_damaged_profiles_do_what_lcms_makes_of_them(profile: bytes) -> None:
    random = np.random.default_rng(7)
    image = photograph().crop((100, 100, 140, 130))
    for _ in range(60):
        damaged = bytearray(profile)
        for _ in range(int(random.integers(1, 6))):
            damaged[int(random.integers(128, len(profile)))] = int(random.choice([0, 1, 127, 128, 255]))
        given = bytes(damaged[: int(random.integers(132, len(damaged)))] if random.random() < 0.2 else damaged)
        shown = image.copy()
        shown.info["icc_profile"] = given
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert furthest(to_srgb(shown), by_lcms(image, given)) <= 2  # invisible conversions are left out


def test_where_tables_would_go_wrong_lcms_converts() -> None:
    image = photograph()
    expected = by_lcms(image, RAISED_BLACK)
    assert furthest(expected, image) > 10
    pixels = np.array(image)
    convert_to_srgb(pixels[5:-5, 5:-5], RAISED_BLACK)
    assert np.array_equal(pixels[5:-5, 5:-5], np.asarray(expected)[5:-5, 5:-5])
    image.info["icc_profile"] = RAISED_BLACK
    assert furthest(to_srgb(image), expected) == 0


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_for_another_kind_of_picture_is_passed_over(mode: str) -> None:
    image = photograph().convert(mode)
    image.info["icc_profile"] = wide_gamut_profile()
    assert difference(to_srgb(image), photograph().convert(mode).convert("RGB")) == 0


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    levels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    converted = np.asarray(to_srgb(Image.fromarray(levels)))
    assert converted[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "PA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image = Image.new("PA", (2, 1)) if mode == "PA" else clear.convert("LA" if mode == "LA" else "RGBA")
    image = image if mode == image.mode else image.convert(mode)
    assert to_srgb(image).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["F", "I", "LAB", "HSV"])
def test_what_is_no_picture_is_refused(mode: str) -> None:
    with pytest.raises(UndecodableImage, match="not supported"):
        to_srgb(Image.new(mode, (2, 2)))
