from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import ServiceError
from app.image.decode import Photograph, decode, open_image
from app.image.fast import load_fast, preprocess_fast
from app.image.preprocess import preprocess
from app.image.views import Pixels, Views
from tests.image.test_decode import save_heic
from tests.image.test_preprocess import EMBEDDED, MANY, SIZES, VGG16
from tests.image.test_profile import RAISED_BLACK
from tests.pictures import encode, photograph, wide_gamut_profile

MAX_PIXELS = 20_000_000


def decode_fast(data: bytes, max_pixels: int, views: Views) -> Photograph[Pixels]:
    return load_fast(open_image(data, max_pixels), data, views)


def shown_fast(image: Image.Image, views: Views) -> Pixels:
    return preprocess_fast(np.array(image), views)


@pytest.mark.parametrize("views", [VGG16, EMBEDDED, MANY], ids=["bilinear", "bicubic", "many"])
@pytest.mark.parametrize("size", [*SIZES, (30, 2000), (1, 20_000)])
def test_it_follows_the_exact_path_to_within_a_level(size: tuple[int, int], views: Views) -> None:
    image = photograph("coffee").resize(size)
    exact, fast = preprocess(image, views), shown_fast(image, views)
    assert fast.shape == exact.shape == (len(views.places), 224, 224, 3)
    assert fast.dtype == np.uint8
    off_by = np.abs(fast.astype(int) - exact.astype(int))
    assert (off_by <= 1).mean() >= 0.999
    assert off_by.max() <= 3


def test_a_large_jpeg_is_decoded_smaller_and_tells_its_real_size() -> None:
    large = photograph("coffee").resize((4200, 2800))
    whole, part = decode(encode(large, "JPEG"), MAX_PIXELS), decode(encode(large, "JPEG"), MAX_PIXELS, VGG16.short_side)
    assert part.info == whole.info == ("JPEG", 4200, 2800)
    assert whole.pixels.size == (4200, 2800)
    assert part.pixels.size == (2100, 1400)  # a half; a quarter would be less than four times the 256 that are needed
    off_by = np.abs(shown_fast(part.pixels, VGG16).astype(int) - preprocess(whole.pixels, VGG16).astype(int))
    assert off_by.mean() < 0.5


def test_a_large_turned_jpeg_tells_its_size_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode(encode(photograph("coffee").resize((4200, 2800)), "JPEG", exif=exif), MAX_PIXELS, 256)
    assert decoded.info == ("JPEG", 2800, 4200)
    assert decoded.pixels.size == (1400, 2100)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((3000, 2047), 256, (3000, 2047)),
        ((3001, 2049), 256, (1501, 1025)),
        ((1031, 3003), 64, (258, 751)),
        ((1031, 2050), 32, (129, 257)),
    ],
)
def test_both_decoders_shrink_to_the_same_pixels(
    size: tuple[int, int], short_side: int, expected: tuple[int, int]
) -> None:
    data = encode(photograph("coffee").resize(size), "JPEG")
    image = decode(data, MAX_PIXELS, short_side).pixels
    assert image.size == expected
    views = replace(VGG16, short_side=short_side, crop=short_side)
    assert np.array_equal(decode_fast(data, MAX_PIXELS, views).pixels, np.asarray(image))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_both_paths_accept_and_refuse_the_same_files(image_format: str) -> None:
    random = np.random.default_rng(11)
    image = photograph().resize((3000, 2100) if image_format == "JPEG" else (96, 64))
    data = save_heic(image) if image_format == "HEIF" else encode(image, image_format)
    files = [data, *(data[: int(len(data) * share)] for share in (0.01, 0.1, 0.5, 0.9, 0.999))]
    for _ in range(30):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[random.integers(0, len(data), 4)] = random.integers(0, 256, 4)
        files.append(damaged.tobytes())
    for file in files:
        assert outcome(decode, file, MAX_PIXELS) == outcome(decode_fast, file, MAX_PIXELS, VGG16)


def outcome(way: Callable[..., object], *arguments: object) -> str:
    try:
        way(*arguments)
    except ServiceError as error:
        return error.code
    return "ok"


def jpegs() -> Iterator[tuple[str, bytes]]:
    image = photograph("coffee").resize((300, 200))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            yield subsampling, encode(image, "JPEG", subsampling=subsampling, progressive=progressive)
    yield "gray", encode(image.convert("L"), "JPEG")
    yield "CMYK", encode(image.convert("CMYK"), "JPEG")
    yield "RGB", encode(image, "JPEG", keep_rgb=True)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "sRGB's profile", encode(image, "JPEG", icc_profile=srgb)
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation {orientation}", encode(image, "JPEG", exif=exif)


@pytest.mark.parametrize("data", [data for _, data in jpegs()], ids=[name for name, _ in jpegs()])
def test_a_jpeg_that_is_not_large_has_the_same_pixels_on_both_paths(data: bytes) -> None:
    whole, fast = decode(data, MAX_PIXELS), decode_fast(data, MAX_PIXELS, VGG16)
    assert fast.info == whole.info
    assert np.array_equal(fast.pixels, np.asarray(whole.pixels))


@pytest.mark.parametrize("views", [VGG16, EMBEDDED, MANY], ids=["bilinear", "bicubic", "many"])
@pytest.mark.parametrize("size", [(500, 375), (300, 451), (40, 30), (1200, 90), (3000, 2200)])
@pytest.mark.parametrize("profile", [wide_gamut_profile(), RAISED_BLACK], ids=["tables", "lcms"])
def test_colours_are_converted_wherever_a_view_looks(profile: bytes, size: tuple[int, int], views: Views) -> None:
    data = encode(photograph("coffee").resize(size), "JPEG", icc_profile=profile)
    seen = preprocess_fast(decode_fast(data, MAX_PIXELS, views).pixels, views)
    expected = preprocess_fast(np.asarray(decode(data, MAX_PIXELS, views.short_side).pixels), views)
    assert np.array_equal(seen, expected)
