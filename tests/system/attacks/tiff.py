"""TIFFs: tiles larger than their picture, strips without end, pixels that unpack from nothing, odd directories."""

import lzma
import struct
from collections.abc import Iterator

from tests.system.attacks.jpeg import SEQUENTIAL, picture, scans
from tests.system.attacks.png import zeros

RAW, LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS, LZMA, CCITT = 1, 5, 6, 7, 8, 32773, 34925, 3
SHORT, LONG, BYTES, SLONG = 3, 4, 7, 9
OFFSETS, SIZES, ROWS, TILE_OFFSETS, TILE_SIZES = 273, 279, 278, 324, 325


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    for name, compression in {"raw": RAW, "deflated": DEFLATE, "lzw": LZW}.items():
        yield f"one-tile-{name}", tiff(16, 16, compression, b"\x80\0", tile=(16_000, 16_000))
    yield "a-wide-tile", tiff(16, 16, DEFLATE, zeros(16 * 2**20), tile=(2**20, 16))
    yield "many-tiles", pieces(4_096, 4_096, 65_536, tile=(16, 16))
    yield "a-tile-in-signed-numbers", tiff(16, 16, DEFLATE, zeros(16_000 * 16_000), tile=(16_000, 16_000), kind=SLONG)
    again = [(322, LONG, 1, 16_000), (323, LONG, 1, 16_000)]
    yield "a-tile-said-twice", tiff(16, 16, DEFLATE, zeros(16_000 * 16_000), tile=(16, 16), more=again)
    yield "many-strips", pieces(1, 100_000, 100_000)
    yield "more-strips-than-rows", pieces(16, 16, 500_000)
    yield "strips-to-the-limit", pieces(side * side // 16_000, 16_000, 16_000)
    yield "deflated-zeros", tiff(side, side, DEFLATE, zeros(side * side))
    yield "deflated-zeros-beyond", tiff(16, 16, DEFLATE, zeros(400 * 2**20))
    yield "lzma-zeros", tiff(side, side, LZMA, lzma.compress(bytes(side * side), preset=0))
    yield "lzw", tiff(side, side, LZW, lzw_zeros(side * side))
    yield "lzw-clear-codes", tiff(side, side, LZW, b"\x80\x40\x20\x10\x08\x04\x02\x01\0" * 100_000)
    yield "packbits", tiff(side, side, PACKBITS, b"\x81\0" * (side * side // 128 + 1))
    yield "packbits-of-nothing", tiff(side, side, PACKBITS, b"\x80" * 1_000_000)
    yield "fax", tiff(side, side, CCITT, b"\x35" * 100_000, bits=1)
    strip = picture(scans(SEQUENTIAL, 90), SEQUENTIAL)
    yield "scans-in-a-strip", tiff(4_000, 4_000, JPEG, strip)
    place = [(513, LONG, 1, 8), (514, LONG, 1, len(strip))]
    yield "scans-in-an-old-strip", tiff(4_000, 4_000, OLD_JPEG, strip, more=place)
    yield "a-large-jpeg-in-a-strip", tiff(16, 16, JPEG, picture(scans(SEQUENTIAL, 1), SEQUENTIAL, side=20_000))
    yield "a-circle", tiff(64, 64, RAW, bytes(4096), following=8 + 4096)
    yield "many-tags", tiff(64, 64, RAW, bytes(4096), more=[(1000 + number, SHORT, 1, 0) for number in range(60_000)])
    yield "overlapping-tags", tiff(64, 64, RAW, bytes(2**20), more=[(1000 + n, BYTES, 2**20, 8) for n in range(4000)])
    yield "a-tag-without-end", tiff(64, 64, RAW, bytes(4096), more=[(1000, BYTES, 0xFFFFFFFF, 8)])
    yield "many-samples", tiff(64, 64, RAW, bytes(4096), more=[(339, SHORT, 2000, 8)], samples=60_000)
    yield "planes", tiff(side, side, DEFLATE, zeros(side * side), more=[(284, SHORT, 1, 2)], samples=3)
    yield "large-pieces-of-a-big-file", big_tiff(16, 16, tile=(16_000, 16_000))


def tiff(
    width: int, height: int, compression: int, content: bytes, *, tile: tuple[int, int] | None = None, bits: int = 8,
    samples: int = 1, more: list[tuple[int, int, int, int]] | None = None, following: int = 0, kind: int = LONG,
) -> bytes:  # fmt: skip
    """One strip, or one tile, of ``content`` at offset 8; then the directory, with further entries as they are.

    ``kind`` is the type of a tile's sides.
    """
    entries = [(256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, bits), (259, SHORT, 1, compression),
               (262, SHORT, 1, 1), (277, SHORT, 1, samples), *(more or [])]  # fmt: skip
    if tile:
        entries += [(322, kind, 1, tile[0]), (323, kind, 1, tile[1])]
        entries += [(TILE_OFFSETS, LONG, 1, 8), (TILE_SIZES, LONG, 1, len(content))]
    else:
        entries += [(OFFSETS, LONG, 1, 8), (ROWS, LONG, 1, height), (SIZES, LONG, 1, len(content))]
    return _file(entries, content, following)


def pieces(width: int, height: int, count: int, *, tile: tuple[int, int] | None = None) -> bytes:
    """So many strips, or tiles, all at the same place."""
    offsets = struct.pack("<I", 8) * count
    entries = [(256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8), (259, SHORT, 1, RAW),
               (262, SHORT, 1, 1), (277, SHORT, 1, 1)]  # fmt: skip
    if tile:
        entries += [(322, LONG, 1, tile[0]), (323, LONG, 1, tile[1])]
    entries += [(TILE_OFFSETS if tile else OFFSETS, LONG, count, 8), (TILE_SIZES if tile else SIZES, LONG, count, 8)]
    return _file(entries if tile else [*entries, (ROWS, LONG, 1, 1)], offsets)


def big_tiff(width: int, height: int, tile: tuple[int, int]) -> bytes:
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, DEFLATE), (262, 3, 1, 1),
               (277, 3, 1, 1), (322, 4, 1, tile[0]), (323, 4, 1, tile[1]), (324, 16, 1, 16),
               (325, 16, 1, 16)]  # fmt: skip
    table = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 32)
    return head + bytes(16) + struct.pack("<Q", len(entries)) + table + bytes(8)


def lzw_zeros(count: int) -> bytes:
    """So many zeros, each code standing for one more than the one before (TIFF 6.0, 13)."""
    one = bytearray()
    bits = held = 0

    def put(code: int, size: int) -> None:
        nonlocal bits, held
        bits, held = bits << size | code, held + size
        while held >= 8:
            held -= 8
            one.append(bits >> held & 255)
        bits &= (1 << held) - 1

    done, rounds = 0, 0
    while done < count:
        put(256, 9 if not rounds else 12)
        put(0, 9)
        done, rounds = done + 1, rounds + 1
        for code in range(258, 4094):
            put(code, (code + 1).bit_length() if code + 1 < 4095 else 12)
            done += code - 256
            if done > count:
                break
    put(257, 12)
    put(0, 7)
    return bytes(one)


def _file(entries: list[tuple[int, int, int, int]], content: bytes, following: int = 0) -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = 8 + len(content)
    directory = struct.pack("<H", len(entries)) + table + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", start) + content + directory
