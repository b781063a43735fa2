"""What a TIFF's first directory says of its size and its pieces, before a decoder is let at it (TIFF 6.0, 2; BigTIFF).

A strip or a tile is decoded as a whole, however little of it the picture shows, and each is an object in Python.
"""

import struct
from typing import NamedTuple

WIDTH, HEIGHT, SAMPLES, ROWS_PER_STRIP, PLANES = 256, 257, 277, 278, 284
STRIP_OFFSETS, STRIP_SIZES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 273, 279, 322, 323, 324, 325
# Every type that libtiff takes for a whole number.
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
SEPARATE = 2

# A camera's directory has some dozens; each costs Pillow some microseconds.
MAX_ENTRIES = 1000
# 100 megapixels in tiles of 128 x 128 are 6,104, 16,384 rows are as many strips; each costs Pillow six microseconds.
MAX_PIECES = 16_384
# Tiles of 256 or 512 a side are usual, and may reach beyond a small picture's edges.
LARGE_TILE_PIXELS = 1024 * 1024


class Directory(NamedTuple):
    """The first directory: single numbers by tag, and how many values each tag has.

    Of a tag that is there more than once the largest: libtiff takes the first one, Pillow the last.
    """

    numbers: dict[int, int]
    counts: dict[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 where the file does not say."""
        return self.numbers.get(WIDTH, 0), self.numbers.get(HEIGHT, 0)

    @property
    def is_costly(self) -> bool:
        """Whether the pieces are more or larger than the picture accounts for."""
        pieces = max(self.counts.get(tag, 0) for tag in (STRIP_OFFSETS, STRIP_SIZES, TILE_OFFSETS, TILE_SIZES))
        width, height = self.size
        tile = self.numbers.get(TILE_WIDTH, 0) * self.numbers.get(TILE_HEIGHT, 0)
        return (
            len(self.counts) > MAX_ENTRIES
            or pieces > MAX_PIECES
            or pieces > self._most_pieces()
            or tile > max(LARGE_TILE_PIXELS, 2 * width * height)
        )

    def _most_pieces(self) -> int:
        width, height = self.size
        planes = self.numbers.get(SAMPLES, 1) if self.numbers.get(PLANES) == SEPARATE else 1
        if TILE_OFFSETS in self.counts:
            across, down = self.numbers.get(TILE_WIDTH, 0), self.numbers.get(TILE_HEIGHT, 0)
            return planes * -(-width // max(1, across)) * -(-height // max(1, down))
        return planes * -(-height // max(1, self.numbers.get(ROWS_PER_STRIP, height)))


def read_directory(data: bytes) -> Directory | None:
    """The first directory of a TIFF, or ``None`` where there is none to read. Never raises."""
    try:
        return _read(data)
    except struct.error:
        return None


def _read(data: bytes) -> Directory:
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\x00", b"\x00+")
    (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, min(start, len(data)))
    head, entry, inline = (8, "HHQ", 8) if is_big else (2, "HHI", 4)
    size = struct.calcsize(order + entry)
    directory = Directory({}, {})
    for number in range(min(count, MAX_ENTRIES + 1)):
        at = start + head + number * (size + inline)
        if at + size + inline > len(data):
            break
        tag, kind, values = struct.unpack_from(order + entry, data, at)
        directory.counts[tag] = max(values, directory.counts.get(tag, 0))
        if values == 1 and kind in NUMBERS:
            value = _number(data, order, NUMBERS[kind], at + size, inline)
            directory.numbers[tag] = max(value, directory.numbers.get(tag, 0))
    return directory


def _number(data: bytes, order: str, kind: str, at: int, inline: int) -> int:
    """A value that lies in its entry, or where the entry says; 0 where that is not in the file."""
    size = struct.calcsize(order + kind)
    if size > inline:
        (at,) = struct.unpack_from(order + "I", data, at)
    value: int = struct.unpack_from(order + kind, data, at)[0] if at + size <= len(data) else 0
    return value
