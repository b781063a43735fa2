"""Damage of the kinds that break decoders, drawn from a seeded generator, and the repair that hides it."""

import struct
import zlib
from collections.abc import Callable, Iterator
from random import Random

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD_BYTES = 64  # where most formats say how large and of what kind they are
TRUNCATIONS = 24
SIZES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONGEST_RUN = 64


def truncations(data: bytes) -> Iterator[bytes]:
    """Cut off after each byte of the head, in even steps from there, and just before the end."""
    head, last = min(HEAD_BYTES, len(data)), len(data)
    step = max(1, (last - head) // TRUNCATIONS)
    for length in sorted({*range(head), *range(head, last, step), *range(max(0, last - 12), last)}):
        yield data[:length]


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """One to four kinds of damage, one on top of the other; ``other`` is an image to take pieces from.

    Where checksums would give the damage away at once (PNG), half of the time they are made to fit again.
    """
    damaged = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if damaged:
            random.choice(DAMAGES)(damaged, other, random)
    return repair(bytes(damaged)) if random.random() < 0.5 else bytes(damaged)


def repair(data: bytes) -> bytes:
    """The same PNG with checksums that fit (W3C PNG 5.3); anything else as it is."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    repaired, at = bytearray(data), len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", repaired, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(repaired)


def _flip_bits(data: bytearray, _other: bytes, random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_bytes(data: bytearray, _other: bytes, random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] = random.choice((0, 0xFF, 0x80, random.randrange(256)))


def _set_a_size(data: bytearray, _other: bytes, random: Random) -> None:
    """An integer of two or four bytes, in either order, mostly in the head."""
    order, (code, width) = random.choice("<>"), random.choice((("H", 2), ("I", 4)))
    within = min(len(data), HEAD_BYTES if random.random() < 0.7 else len(data))
    if within >= width:
        value = random.choice(SIZES) & (256**width - 1)
        struct.pack_into(order + code, data, random.randrange(within - width + 1), value)


def _duplicate(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _run(data, random)
    at = random.randrange(len(data) + 1)
    data[at:at] = data[start:end] * random.choice((1, 1, 2, 20))


def _remove(data: bytearray, _other: bytes, random: Random) -> None:
    start, end = _run(data, random)
    del data[start:end]


def _truncate(data: bytearray, _other: bytes, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _splice(data: bytearray, other: bytes, random: Random) -> None:
    start, end = _run(other, random)
    at = random.randrange(len(data) + 1)
    data[at : at + random.choice((0, end - start))] = other[start:end]


def _run(data: bytes | bytearray, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data))
    return start, min(len(data), start + random.randint(1, LONGEST_RUN))


DAMAGES: tuple[Callable[[bytearray, bytes, Random], None], ...] = (
    _flip_bits, _set_bytes, _set_a_size, _set_a_size, _duplicate, _remove, _truncate, _splice,
)  # fmt: skip
