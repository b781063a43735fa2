import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from app.errors import ServiceError, TooCostly, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.decode import decode
from tests.pictures import difference, encode, huge_png, photograph, plain, wide_gamut_profile

MAX_PIXELS = 10_000_000
ENOUGH = 2.5  # levels of 255: what the lossy formats lose at high quality


def read(data: bytes) -> Image.Image:
    return decode(data, MAX_PIXELS).pixels


def save_heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("JPEG", encode(photograph(), "JPEG", quality=95)),
        ("JPEG", encode(photograph(), "JPEG", quality=95, progressive=True)),
        ("JPEG", encode(photograph(), "MPO", quality=95, save_all=True, append_images=[photograph("coffee")])),
        ("PNG", encode(photograph(), "PNG")),
        ("PNG", encode(photograph(), "PNG", save_all=True, append_images=[photograph().rotate(90)])),
        ("WEBP", encode(photograph(), "WEBP", quality=95)),
        ("WEBP", encode(photograph(), "WEBP", lossless=True)),
        ("WEBP", encode(photograph(), "WEBP", quality=95, save_all=True, append_images=[photograph().rotate(90)])),
        ("GIF", encode(photograph(), "GIF", save_all=True, append_images=[photograph().rotate(90)])),
        ("BMP", encode(photograph(), "BMP")),
        ("TIFF", encode(photograph(), "TIFF")),
        ("TIFF", encode(photograph(), "TIFF", compression="tiff_lzw", big_tiff=True)),
        ("TIFF", encode(photograph(), "TIFF", save_all=True, append_images=[photograph("coffee")])),
        ("AVIF", encode(photograph(), "AVIF", quality=95)),
        ("HEIF", save_heic(photograph())),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_frame_of_every_format(name: str, data: bytes) -> None:
    decoded = decode(data, MAX_PIXELS)
    assert decoded.info == (name, *photograph().size)
    assert difference(decoded.pixels, photograph()) < (7 if name == "GIF" else ENOUGH)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(image_format: str, orientation: int) -> None:
    upright = photograph("coffee").resize((300, 200))
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that a camera held that way has made
    stored = upright.transpose(Image.Transpose(inverse[orientation])) if orientation in inverse else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if image_format in ("JPEG", "WEBP") else {}
    image = read(encode(stored, image_format, exif=exif, **options))
    assert image.size == upright.size
    assert difference(image, upright) < 4


def test_heic_is_not_turned_twice() -> None:
    upright = photograph("coffee").resize((300, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = pillow_heif.from_pillow(upright.transpose(Image.Transpose.ROTATE_90))
    buffer = io.BytesIO()
    stored.save(buffer, quality=95, exif=exif.tobytes())
    image = read(buffer.getvalue())
    assert image.size == upright.size
    assert difference(image, upright) < 4


def test_a_wide_gamut_profile_is_converted_to_srgb() -> None:
    pixel = read(encode(plain((150, 200, 100)), "PNG", icc_profile=wide_gamut_profile())).getpixel((5, 5))
    # Adobe RGB (150, 200, 100) is more saturated in sRGB: red falls well below its nominal value.
    assert isinstance(pixel, tuple)
    assert pixel[0] < 130
    assert abs(pixel[1] - 201) < 4


def test_an_srgb_profile_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(read(encode(photograph(), "PNG", icc_profile=srgb)), photograph()) == 0


def test_a_broken_profile_is_passed_over() -> None:
    assert difference(read(encode(photograph(), "PNG", icc_profile=b"not a profile" * 20)), photograph()) == 0


def test_transparency_is_laid_over_white() -> None:
    see_through = photograph().convert("RGBA")
    see_through.putalpha(0)
    for image_format in ("PNG", "WEBP", "TIFF", "GIF"):
        image = read(encode(see_through, image_format))
        assert image.getpixel((0, 0)) == (255, 255, 255), image_format
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    pixel = read(encode(half)).getpixel((0, 0))
    assert pixel == (127, 127, 127)


def test_a_transparent_colour_is_laid_over_white() -> None:
    image = Image.new("RGB", (8, 8), (10, 20, 30))
    assert read(encode(image, "PNG", transparency=(10, 20, 30))).getpixel((0, 0)) == (255, 255, 255)
    palette = image.quantize(2)
    assert read(encode(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "I;16")),
        *(("JPEG", mode) for mode in ("L", "CMYK", "YCbCr")),
    ],
)
def test_every_mode_becomes_rgb(mode: str, image_format: str) -> None:
    gray = photograph("coffee").convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    else:
        picture = gray.convert("RGB").convert(mode) if mode != "PA" else gray.convert("P").convert("PA")
    options = {"quality": 95} if image_format == "JPEG" else {}
    decoded = read(encode(picture, image_format, **options))
    assert decoded.mode == "RGB"
    assert difference(decoded, gray.convert("RGB") if mode == "I;16" else picture.convert("RGB")) < ENOUGH


def test_an_upside_down_cmyk_jpeg_of_a_print_shop_is_not_a_negative() -> None:
    decoded = read(encode(photograph().convert("CMYK"), "JPEG", quality=95))
    assert difference(decoded, photograph()) < 10


def test_the_pixel_limit_is_checked_before_decoding() -> None:
    with pytest.raises(TooManyPixels, match="200000x100000"):
        decode(huge_png(200_000, 100_000), MAX_PIXELS)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_one_pixel_too_many_in_every_format(image_format: str) -> None:
    image = plain((10, 20, 30), (64, 48))
    data = save_heic(image) if image_format == "HEIF" else encode(image, image_format)
    assert decode(data, 64 * 48).pixels.size == (64, 48)
    with pytest.raises(TooManyPixels):
        decode(data, 64 * 48 - 1)


def test_a_heif_cropped_beyond_its_edge_tells_the_size_that_is_left() -> None:
    data = save_heic(plain((10, 20, 30), (40, 30)))
    at = data.index(b"clap")  # ISO/IEC 23008-12, 6.5.9: width, height and the offsets of the centre, as fractions
    assert struct.unpack_from(">II", data, at + 4) == (40, 1)
    wider = data[: at + 4] + struct.pack(">II", 80, 1) + data[at + 12 :]
    decoded = decode(wider, 10_000)
    assert decoded.info[1:] == decoded.pixels.size
    assert 40 < decoded.info.width < 80


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"hello, world, this is not an image",
        b"%PDF-1.7 and so on",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypmp42" + bytes(40),
        encode(plain((1, 2, 3)), "PPM"),
        encode(plain((1, 2, 3)), "JPEG2000"),
    ],
)
def test_other_content_is_an_unsupported_media_type(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        decode(data, MAX_PIXELS)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_image_is_undecodable(image_format: str, share: float) -> None:
    image = photograph().resize((120, 80))
    data = save_heic(image) if image_format == "HEIF" else encode(image, image_format)
    kept = data[: max(16, int(len(data) * share))]
    with pytest.raises(UndecodableImage):
        decode(kept, MAX_PIXELS)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_random_damage_never_raises_anything_else(image_format: str) -> None:
    random = np.random.default_rng(7)
    image = photograph().resize((96, 64))
    data = np.frombuffer(save_heic(image) if image_format == "HEIF" else encode(image, image_format), np.uint8)
    for _ in range(60):
        damaged = data.copy()
        positions = random.integers(0, len(data), 8)
        damaged[positions] = random.integers(0, 256, 8)
        try:
            assert decode(damaged.tobytes(), MAX_PIXELS).pixels.mode == "RGB"
        except ServiceError:
            continue


@pytest.mark.parametrize(
    "nonsense",
    [struct.pack(">HHI4s", 0x011A, 2, 4, b"ten"), struct.pack(">HHIf", 0x0131, 11, 1, 1.5),
     struct.pack(">HHIi", 0x8769, 9, 1, -1)],
    ids=["resolution as text", "software as a number", "an offset before the start"],
)  # fmt: skip
def test_damaged_metadata_is_not_damaged_pixels(nonsense: bytes) -> None:
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    directory = struct.pack(">H", 2) + b"".join(sorted([orientation, nonsense])) + bytes(4)
    block = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + directory
    jpeg = encode(photograph(), "JPEG", quality=95)
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
    assert difference(read(data), photograph().transpose(Image.Transpose.ROTATE_270)) < ENOUGH


def test_what_is_built_to_take_long_is_refused_at_once() -> None:
    jpeg = encode(photograph(), "JPEG", progressive=True)
    assert 5 < jpeg.count(b"\xff\xda") < 20
    scans = jpeg.replace(b"\xff\xd9", b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00" * 200 + b"\xff\xd9")
    block = b"\xff\xe1\x00\x18Exif\x00\x00" + bytes(16)
    blocks = jpeg[:2] + block * 1000 + jpeg[2:]
    header = struct.pack("<IIIiiHHIIiiII", 1082, 0, 1078, 99_999, 900, 1, 8, 1, 4, 0, 0, 256, 0)
    rle = b"BM" + header[:12] + struct.pack("<I", 40) + header[12:] + bytes(1024) + b"\x01\0\0\0"
    for data in (scans, blocks, rle):
        with pytest.raises(TooCostly, match="unreasonably long"):
            decode(data, 10**9)


def test_a_side_has_a_limit_of_its_own() -> None:
    with pytest.raises(TooManyPixels, match="a side"):
        decode(huge_png(1, 2_000_000), MAX_PIXELS)
    assert decode(encode(plain((1, 2, 3), (1, 20_000))), MAX_PIXELS).pixels.size == (1, 20_000)


def test_a_profile_too_large_to_be_one_is_passed_over() -> None:
    for image_format, size in (("PNG", 3_000_000), ("WEBP", 5_000_000)):
        data = encode(photograph(), image_format, icc_profile=bytes(size), lossless=True)
        assert difference(read(data), photograph()) == 0


def test_floating_point_pixels_are_refused() -> None:
    image = Image.fromarray(np.zeros((8, 8), dtype=np.float32))
    with pytest.raises(UndecodableImage):
        read(encode(image, "TIFF"))
