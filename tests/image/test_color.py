"""Every mode of Pillow's, and profiles, become sRGB."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import UndecodableImage
from app.image.color import MAX_PROFILE_BYTES, is_srgb, to_srgb
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
    assert is_srgb(image)
    assert to_srgb(image).getpixel((0, 0)) == COLOR


def test_another_profile_is_converted() -> None:
    image = with_profile(wide_gamut_profile())
    assert not is_srgb(image)
    assert to_srgb(image).getpixel((0, 0)) != COLOR


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
