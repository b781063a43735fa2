"""Which files are built to cost a decoder more than any picture of their kind: refused before it is let at them.

Few, cheap and never complete: what gets past them meets the bounds of ``app.image.cost``. Each takes time linear in the
file's size, a fraction of what decoding takes, and raises on nothing.
"""

import struct
from collections.abc import Callable

from app.image import iso_media, jpeg
from app.image.formats import Format
from app.image.tiff import read_directory

BMP_HEADER_BYTES = 54
RUN_LENGTHS = (1, 2)
# Pillow undoes run lengths in Python, and goes on for as long as there are bytes that add no pixel.
MAX_RUN_LENGTH_PIXELS = 2_000_000
RUN_LENGTH_SLACK = 64 * 1024
# Pillow reads each chunk of a PNG and each block of a GIF in Python, in some microseconds. Encoders write pixels in
# pieces of 8 kB and more, a few in pieces of a kilobyte; a profile or a text is one chunk, or one block in 255 bytes.
FREE_CHUNKS = 1000
BYTES_PER_CHUNK = 1024
MAX_PROFILES = 4
MAX_BLOCKS = 20_000


def is_costly(data: bytes, name: Format) -> bool:
    """Whether a file is built to keep a decoder busy for longer than its picture could."""
    guard = GUARDS.get(name)
    return guard is not None and guard(data)


def is_costly_png(data: bytes) -> bool:
    """Whether it has many more chunks than encoders write, or several profiles to unpack (PNG, 5.3)."""
    at, chunks, profiles = 8, 0, 0
    most = FREE_CHUNKS + len(data) // BYTES_PER_CHUNK
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks += 1
        profiles += kind == b"iCCP"
        if chunks > most or profiles > MAX_PROFILES:
            return True
        if kind == b"IEND":  # what comes behind it nobody reads
            return False
        at += 12 + length
    return False


def is_costly_gif(data: bytes) -> bool:
    """Whether more blocks than metadata needs come before the first frame (GIF89a, 15 and 18)."""
    if len(data) < 13:
        return False
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    is_inside = False
    for _ in range(MAX_BLOCKS):
        if at + 1 >= len(data) or (not is_inside and data[at] in b",;"):
            return False
        if is_inside:
            is_inside = data[at] != 0
            at += 1 + data[at]
        else:
            is_inside = data[at] == 0x21
            at += 2 if is_inside else 1
    return True


def is_costly_bmp(data: bytes) -> bool:
    """Whether run lengths are to be undone for a large picture, or from more bytes than it can have."""
    if len(data) < BMP_HEADER_BYTES:
        return False
    width, height = struct.unpack_from("<ii", data, 18)
    (compression,) = struct.unpack_from("<I", data, 30)
    pixels = abs(width * height)
    return compression in RUN_LENGTHS and (
        pixels > MAX_RUN_LENGTH_PIXELS or len(data) > 2 * pixels + 4 * abs(height) + RUN_LENGTH_SLACK
    )


def is_costly_tiff(data: bytes) -> bool:
    """Whether its strips or tiles are more or larger than the picture accounts for."""
    directory = read_directory(data)
    return directory is not None and directory.is_costly


GUARDS: dict[Format, Callable[[bytes], bool]] = {
    "JPEG": jpeg.is_costly,
    "PNG": is_costly_png,
    "GIF": is_costly_gif,
    "BMP": is_costly_bmp,
    "TIFF": is_costly_tiff,
    "AVIF": iso_media.is_costly,
    "HEIF": iso_media.is_costly,
}
