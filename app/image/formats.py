"""Which image format some bytes hold, and how large the picture is, read from the first bytes alone.

The format is decided by content, never by a file's name or a declared media type.
"""

import struct
from typing import Literal, get_args

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]
SUPPORTED: tuple[Format, ...] = get_args(Format)

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})

SIGNATURES: dict[bytes, Format] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}

WEBP_HEADER_BYTES = 30


def sniff_format(data: bytes) -> Format | None:
    """The name of the supported format these bytes begin like, or ``None``."""
    for signature, name in SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _sniff_iso_media(data)
    return None


def _sniff_iso_media(data: bytes) -> Format | None:
    """AVIF and HEIF are boxes of the ISO base media format (ISO/IEC 14496-12, 4.3): the brands tell them apart."""
    (box_size,) = struct.unpack(">I", data[:4])
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(box_size, 256, len(data)), 4))}
    if brands & AVIF_BRANDS:
        return "AVIF"
    if brands & HEIF_BRANDS:
        return "HEIF"
    return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a WebP header (RFC 9649, 2.5 to 2.7), or ``None`` where it is broken.

    Pillow allocates the whole canvas as soon as it opens a WebP, so its size has to be known before.
    """
    chunk, body = data[12:16], data[20:30]
    if len(data) < WEBP_HEADER_BYTES:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None
