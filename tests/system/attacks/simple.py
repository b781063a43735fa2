"""GIFs and BMPs: frames larger than their canvas, blocks by the thousand, run lengths that add nothing."""

import struct
from collections.abc import Iterator


def gifs(side: int) -> Iterator[tuple[str, bytes]]:
    yield "a-large-canvas", gif((65_535, side * side // 65_535), (1, 1))
    yield "a-frame-beyond-its-canvas", gif((1, 1), (65_535, 65_535), pixels=b"\1\0\0")
    yield "a-large-frame", gif((side, side), (side, side))
    yield "large-and-transparent", gif((side, side), (side, side), before=b"\x21\xf9\x04\x01\0\0\0\0")
    yield "clear-codes", gif((side, side), (side, side), pixels=blocks(b"\x24\x49\x92" * 100_000))
    yield "extensions", gif((64, 64), (64, 64), before=b"\x21\xff\0" * 300_000)
    yield "controls", gif((64, 64), (64, 64), before=b"\x21\xf9\x04\x09\0\0\0\0" * 100_000)
    yield "comments", gif((64, 64), (64, 64), before=b"\x21\xfe\1a\0" * 200_000)
    yield "a-long-comment", gif((64, 64), (64, 64), before=b"\x21\xfe" + b"\1a" * 500_000 + b"\0")
    yield "stray-bytes", gif((64, 64), (64, 64), before=b"\1" * 1_000_000)
    yield "small-blocks", gif((side, side), (side, side), pixels=b"\1\x44" * 500_000 + b"\0")


def bmps(side: int) -> Iterator[tuple[str, bytes]]:
    yield "runs", bmp(side, side, 8, 1, b"\xff\0" * 500_000)
    yield "runs-within-the-limit", bmp(2_000, 1_000, 8, 1, b"\1\0" * 2_000_000)
    yield "runs-of-four-bits", bmp(2_000, 1_000, 4, 2, b"\xff\x12" * 500_000)
    yield "runs-of-nothing", bmp(1_000, 1_000, 8, 1, b"\0\2\0\0" * 500_000)
    yield "ends-of-lines", bmp(100_000, 20, 8, 1, b"\1\0\0\0" * 20 + b"\0\0" * 100_000)
    yield "a-large-canvas", bmp(side, side, 1, 0, b"")
    yield "colours-without-end", bmp(64, 64, 8, 0, bytes(5000), colours=0xFFFFFFF0)


def gif(canvas: tuple[int, int], frame: tuple[int, int], *, before: bytes = b"", pixels: bytes = b"") -> bytes:
    """A GIF89a of two colours with one frame; ``before`` it stand extensions."""
    screen = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    place = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0)
    return screen + before + place + b"\x02" + (pixels or runs(frame[0] * frame[1])) + b";"


def blocks(content: bytes) -> bytes:
    pieces = (content[at : at + 255] for at in range(0, len(content), 255))
    return b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"


def runs(pixels: int) -> bytes:
    """Black pixels, each code standing for one more than the one before, and the table cleared when it is full."""
    bits = length = count = 0
    done = 0
    content = bytearray()

    def put(code: int, size: int) -> None:
        nonlocal bits, count
        bits |= code << count
        count += size
        while count >= 8:
            content.append(bits & 255)
            bits >>= 8
            count -= 8

    while done < pixels:
        put(4, 3 if not done else 12)
        size, following, length = 3, 6, 1
        put(0, size)
        done += 1
        while done < pixels and following < 4096:
            put(following, max(size, following.bit_length()))
            length += 1
            done += length
            following += 1
            size = min(12, following.bit_length())
    put(5, 12)
    put(0, 8)
    return blocks(bytes(content))


def bmp(width: int, height: int, bits: int, compression: int, pixels: bytes, *, colours: int = 0) -> bytes:
    table = bytes(4 << bits) if bits <= 8 else b""
    offset = 54 + len(table)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    return b"BM" + struct.pack("<III", offset + len(pixels), 0, offset) + info + table + pixels
