"""WebPs: pixels of no bits at all, code tables by the ten thousand, frames and chunks without end."""

import struct
from collections.abc import Iterator


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    yield "pixels-of-no-bits", webp(b"VP8L" + _sized(lossless(side, side)))
    yield "transformed", webp(b"VP8L" + _sized(lossless(side, side, transforms=(2, 0, 1))))
    yield "a-large-canvas", webp(_extended(side, side) + b"VP8L" + _sized(lossless(side, side)))
    frame = struct.pack("<3s3s3s3s3sB", bytes(3), bytes(3), bytes(3), bytes(3), bytes(3), 0)
    small = b"ANMF" + _sized(frame + b"VP8L" + _sized(lossless(1, 1)))
    animation = _extended(side, side, flags=2) + b"ANIM" + _sized(bytes(6))
    yield "a-small-frame", webp(animation + small)
    yield "many-frames", webp(_extended(16, 16, flags=2) + b"ANIM" + _sized(bytes(6)) + small * 20_000)
    yield "many-chunks", webp(_extended(16, 16) + b"VP8L" + _sized(lossless(16, 16)) + b"abcd\0\0\0\0" * 100_000)
    yield "many-code-tables", webp(b"VP8L" + _sized(many_tables(1024, 1024)))
    yield "more-pixels-than-announced", webp(_extended(16, 16) + b"VP8L" + _sized(lossless(16_000, 16_000)))
    key = b"\x9d\x01\x2a" + struct.pack("<HH", side, side)
    first = struct.pack("<I", 100_000 << 5 | 0x10)[:3]  # a key frame to be shown, and how long its first part is
    yield "lossy-without-pixels", webp(b"VP8 " + _sized(first + key + bytes(200_000)))


def webp(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


class Bits:
    """Bits in the order of RFC 9649, 3: the lowest first."""

    def __init__(self) -> None:
        self.value = self.count = 0
        self.content = bytearray()

    def put(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count
        while self.count >= 8:
            self.content.append(self.value & 255)
            self.value >>= 8
            self.count -= 8

    def finish(self) -> bytes:
        return bytes(self.content) + bytes((self.value & 255, 0, 0, 0))

    def one_symbol(self) -> None:
        """A code whose only symbol, 0, takes no bits."""
        self.put(0b0001, 4)


def lossless(width: int, height: int, transforms: tuple[int, ...] = ()) -> bytes:
    """A black picture, each of whose pixels takes no bits."""
    bits = _start(width, height)
    for transform in transforms:
        bits.put(1, 1)
        bits.put(transform, 2)
        if transform != 2:  # predictor and colour transforms have a small picture of their own
            bits.put(0, 3)
            bits.put(0, 1)
            for _ in range(5):
                bits.one_symbol()
    bits.put(0, 3)  # no further transform, no colour cache, no picture of codes
    for _ in range(5):
        bits.one_symbol()
    return bits.finish()


def many_tables(width: int, height: int) -> bytes:
    """Five code tables of their own for every 4 x 4 pixels, of which no pixel takes a bit."""
    bits, blocks = _start(width, height), (width // 4) * (height // 4)
    bits.put(0, 2)  # no transform, no colour cache
    bits.put(1, 1)  # a picture of codes, of 4 x 4 pixels each
    bits.put(0, 3)
    bits.put(0, 1)
    for _ in range(2):  # green and red: 256 symbols of 8 bits
        bits.put(8 << 1, 5)
        bits.put(1 << 33, 36)
        bits.put(254 << 4 | 3 << 1 | 1, 12)
    for _ in range(3):
        bits.one_symbol()
    for number in range(blocks):
        for byte in (number & 255, number >> 8 & 255):
            bits.put(int(f"{byte:08b}"[::-1], 2), 8)
    for _ in range(5 * min(blocks, 65_536)):
        bits.one_symbol()
    return bits.finish()


def _start(width: int, height: int) -> Bits:
    bits = Bits()
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 4)
    return bits


def _extended(width: int, height: int, flags: int = 0) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + _sized(bytes((flags, 0, 0, 0)) + size)


def _sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
