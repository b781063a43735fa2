"""What the boxes of an AVIF or a HEIC say of the pieces that its picture is put together from (ISO/IEC 23008-12, 6.6).

A grid or an overlay shows each of its pieces once or many times, as large as it likes; each is decoded as a whole.
"""

import struct
from collections.abc import Iterator

# libavif looks for each item among all of them; a picture in tiles of 512 x 512 has some hundred.
MAX_ITEMS = 1000
MAX_BOXES = 4 * MAX_ITEMS
# Tiles reach beyond the edges, of a small picture by far.
EXCESS = 2
FREE_PIXELS = 4 * 1024 * 1024


def is_costly(data: bytes) -> bool:
    """Whether there are more items than a picture is made of, or pieces of many times its size. Never raises."""
    if data.count(b"infe") > MAX_ITEMS:
        return True
    try:
        pieces, whole = _pixels(data)
    except (struct.error, LookupError):
        return False  # for the decoder to refuse
    return pieces > EXCESS * whole + FREE_PIXELS


def _pixels(data: bytes) -> tuple[int, int]:
    """In all the pieces of the primary item, and in itself."""
    start, end = next(((at, stop) for kind, at, stop in _boxes(data, 0, len(data)) if kind == b"meta"), (0, 0))
    meta = {kind: (start, end) for kind, start, end in _boxes(data, start + 4, end)}
    (primary,) = struct.unpack_from(">I" if data[meta[b"pitm"][0]] else ">H", data, meta[b"pitm"][0] + 4)
    properties = {kind: (start, end) for kind, start, end in _boxes(data, *meta[b"iprp"])}
    areas = _areas(data, *properties[b"ipma"], _sizes(data, *properties[b"ipco"]))
    start, end = meta[b"iref"]
    pieces = _references(data, start, end, primary)
    return sum(areas.get(piece, 0) for piece in pieces), areas.get(primary, 0)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box (ISO/IEC 14496-12, 4.2)."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            head = 16
            (size,) = struct.unpack_from(">Q", data, start + 8)
        stop = start + size if size else end
        if stop > end or stop < start + head:
            return
        yield kind, start + head, stop
        start = stop


def _sizes(data: bytes, start: int, end: int) -> list[int]:
    """Pixels in each property, in order; 0 for one that is no size."""
    return [
        int.from_bytes(data[at + 4 : at + 8], "big") * int.from_bytes(data[at + 8 : at + 12], "big")
        if kind == b"ispe"
        else 0
        for kind, at, _ in _boxes(data, start, end)
    ]


def _areas(data: bytes, start: int, end: int, sizes: list[int]) -> dict[int, int]:
    """Pixels of each item, by its number (ISO/IEC 23008-12, 9.3.2)."""
    version, flags, count = data[start], data[start + 3], int.from_bytes(data[start + 4 : start + 8], "big")
    item, index = (">IB", 5) if version else (">HB", 3), 2 if flags & 1 else 1
    areas: dict[int, int] = {}
    at = start + 8
    for _ in range(min(count, MAX_ITEMS)):
        if at >= end:
            break
        number, properties = struct.unpack_from(item[0], data, at)
        at += item[1]
        for _ in range(properties):
            which = int.from_bytes(data[at : at + index], "big") & ((1 << 8 * index - 1) - 1)
            at += index
            if 0 < which <= len(sizes):
                areas[number] = max(areas.get(number, 0), sizes[which - 1])
    return areas


def _references(data: bytes, start: int, end: int, item: int) -> tuple[int, ...]:
    """The items that one is put together from, each as often as it is shown (ISO/IEC 14496-12, 8.11.12)."""
    number = "I" if data[start] else "H"
    size = struct.calcsize(number)
    for kind, at, stop in _boxes(data, start + 4, end):
        if kind == b"dimg" and struct.unpack_from(f">{number}", data, at)[0] == item:
            (count,) = struct.unpack_from(">H", data, at + size)
            count = min(count, (stop - at - size - 2) // size)
            return struct.unpack_from(f">{count}{number}", data, at + size + 2)
    return ()
