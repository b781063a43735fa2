"""Small images in every format, mode and compression that matters: where a fuzzer begins."""

import io
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

SIZE = (40, 30)
LARGE = (1300, 800)  # above a megapixel, where the fast path decodes a JPEG at less than its size
ORIENTATION, TURNED = 0x0112, 6


def seeds() -> dict[str, bytes]:
    """Images by name, valid as files; a name begins with the format as ``app.image.formats`` calls it."""
    return {
        f"{image_format.upper()}-{name}": data
        for image_format, variants in FORMATS.items()
        for name, data in variants(gradient(SIZE))
    }


def gradient(size: tuple[int, int]) -> Image.Image:
    """A picture that compresses well and has no two equal corners."""
    width, height = size
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    channels = (columns * 255 // width + 0 * rows, rows * 255 // height + 0 * columns, (rows + columns) // 4 % 256)
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def _encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    return exif


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _jpegs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    yield "baseline", _encode(image, "JPEG")
    yield "progressive", _encode(image, "JPEG", progressive=True)
    yield "full-chroma", _encode(image, "JPEG", subsampling=0, quality=95)
    yield "restarts", _encode(image, "JPEG", restart_marker_blocks=1)
    yield "several", _encode(image, "MPO", save_all=True, append_images=[image.rotate(180)])
    yield "turned", _encode(image, "JPEG", exif=_turned(), icc_profile=_profile(), comment=b"a comment")
    for mode in ("L", "CMYK"):
        yield mode, _encode(image.convert(mode), "JPEG")
    large = gradient(LARGE)
    yield "large", _encode(large, "JPEG", quality=10)
    yield "large-progressive", _encode(large.convert("L"), "JPEG", quality=5, progressive=True)
    yield "large-turned-cmyk", _encode(large.convert("CMYK"), "JPEG", quality=5, exif=_turned())


def _pngs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield mode, _encode(image.convert(mode), "PNG")
    yield "I16", _encode(_sixteen_bits(image), "PNG")
    yield "transparent-colour", _encode(image, "PNG", transparency=(0, 0, 0), icc_profile=_profile())
    yield "transparent-palette", _encode(image.quantize(4), "PNG", transparency=b"\x00\x80\xff", bits=2)
    yield "turned", _encode(image, "PNG", exif=_turned())
    yield "animated", _encode(image, "PNG", save_all=True, append_images=[image.rotate(180)])


def _webps(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    yield "lossy", _encode(image, "WEBP")
    yield "lossless", _encode(image, "WEBP", lossless=True)
    yield "alpha", _encode(_see_through(image), "WEBP", exif=_turned(), icc_profile=_profile())
    yield "animated", _encode(image, "WEBP", save_all=True, append_images=[image.rotate(180)])


def _gifs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    yield "one", _encode(image, "GIF")
    yield "interlaced", _encode(image.convert("L"), "GIF", interlace=1)
    yield "animated", _encode(_see_through(image), "GIF", save_all=True, append_images=[image.rotate(180)], disposal=2)


def _bmps(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield mode, _encode(image.convert(mode), "BMP")
    pixels = b"".join(bytes((4, row)) + b"\x00\x00" for row in range(4)) + b"\x00\x01"  # runs of four, then the end
    header = struct.pack("<IIIIiiHHIIiiII", 1078 + len(pixels), 0, 1078, 40, 4, 4, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    yield "run-lengths", b"BM" + header + bytes(range(256)) * 4 + pixels


def _tiffs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"):
        yield mode, _encode(image.convert(mode) if mode != "LAB" else _lab(image), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield compression, _encode(image, "TIFF", compression=compression)
    yield "group4", _encode(image.convert("1"), "TIFF", compression="group4")
    yield "big", _encode(image, "TIFF", big_tiff=True)
    yield "I16", _encode(_sixteen_bits(image), "TIFF")
    yield "turned", _encode(image, "TIFF", exif=_turned(), icc_profile=_profile())
    yield "several", _encode(image, "TIFF", save_all=True, append_images=[image.rotate(180)])


def _avifs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    yield "one", _encode(image, "AVIF")
    yield "alpha", _encode(_see_through(image), "AVIF", exif=_turned(), icc_profile=_profile())
    yield "animated", _encode(image, "AVIF", save_all=True, append_images=[image.rotate(180)])


def _heifs(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "RGBA"):
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image.convert(mode)).save(buffer, quality=60)
        yield mode, buffer.getvalue()
    buffer = io.BytesIO()
    several = pillow_heif.from_pillow(image)
    several.add_from_pillow(image.rotate(180))
    several.save(buffer, exif=_turned().tobytes())
    yield "several", buffer.getvalue()


def _see_through(image: Image.Image) -> Image.Image:
    copy = image.copy()
    copy.putalpha(image.convert("L"))
    return copy


def _lab(image: Image.Image) -> Image.Image:
    lab = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"),
                                    outputMode="LAB")  # fmt: skip
    assert lab is not None
    return lab


FORMATS: dict[str, Callable[[Image.Image], Iterator[tuple[str, bytes]]]] = {
    "jpeg": _jpegs,
    "png": _pngs,
    "webp": _webps,
    "gif": _gifs,
    "bmp": _bmps,
    "tiff": _tiffs,
    "avif": _avifs,
    "heif": _heifs,
}
