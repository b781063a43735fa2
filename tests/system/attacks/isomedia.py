"""AVIFs and HEICs: grids, overlays and chains over one small picture, headers smaller than their frames, many items."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pillow_heif
from PIL import Image

Properties = tuple[bytes, ...]
LARGE = 2_000


@dataclass(frozen=True)
class Item:
    """An item of a file: what it is, its bytes, the properties it has, and the items that it is made of."""

    kind: bytes
    content: bytes
    properties: Properties
    parts: tuple[int, ...] = ()
    reference: bytes = b"dimg"


@dataclass(frozen=True)
class Coded:
    """A picture as an encoder left it: its kind, its bytes, and its properties but for the size."""

    kind: bytes
    content: bytes
    configuration: Properties
    brand: bytes


def attacks(side: int, image_format: str) -> Iterator[tuple[str, bytes]]:
    large, small = coded(image_format, LARGE), coded(image_format, 64)
    yield "smaller-than-its-frame", single(large, 16, 16)
    yield "larger-than-its-frame", single(small, side, side)
    yield "a-grid-of-one-picture", grid(small, (64, 64), (side // 64, side // 64))
    yield "a-grid-that-shows-little", grid(small, (64, 64), (255, 255), size=(16, 16))
    yield "a-grid-of-large-pictures", grid(large, (LARGE, LARGE), (16, 16), size=(side, side))
    yield "a-grid-of-large-pictures-in-small", grid(large, (64, 64), (16, 16))
    yield "an-overlay", overlay(small, 60_000, (side, side))
    yield "an-overlay-of-large-pictures", overlay(large, 100, (LARGE, LARGE))
    yield "a-chain", chain(small, 900)
    yield "a-circle", circle(small)
    yield "many-items", many(small, 60_000)
    yield "many-properties", single(small, 64, 64, more=(box(b"free", b""),) * 30_000)
    yield "a-large-index", single(small, 64, 64, padding=1_000_000)
    yield "a-large-profile", single(small, 64, 64, more=(box(b"colr", b"prof" + bytes(2_000_000)),))


@cache
def coded(image_format: str, side: int) -> Coded:
    """A black square, encoded, and taken out of its file."""
    buffer, image = io.BytesIO(), Image.new("RGB", (side, side))
    if image_format == "AVIF":
        image.save(buffer, "AVIF", speed=10, quality=1)
    else:
        pillow_heif.from_pillow(image).save(buffer, quality=1)
    data = buffer.getvalue()
    kind, name, brand = (b"av01", b"av1C", b"avif") if image_format == "AVIF" else (b"hvc1", b"hvcC", b"heic")
    return Coded(kind, _content_of(data), tuple(_boxes_named(data, (name, b"pixi"))), brand)


def single(one: Coded, width: int, height: int, more: Properties = (), padding: int = 0) -> bytes:
    item = Item(one.kind, one.content, (*one.configuration, size_of(width, height), *more))
    return file(one.brand, [item], padding)


def grid(one: Coded, tile: tuple[int, int], places: tuple[int, int], size: tuple[int, int] | None = None) -> bytes:
    """The same picture in each place of a grid (ISO/IEC 23008-12, 6.6.2.3)."""
    (width, height), (across, down) = tile, places
    whole = size or (width * across, height * down)
    content = struct.pack(">BBBBII", 0, 1, down - 1, across - 1, *whole)
    part = Item(one.kind, one.content, (*one.configuration, size_of(width, height)))
    return file(one.brand, [Item(b"grid", content, (size_of(*whole),), (2,) * (across * down)), part])


def overlay(one: Coded, layers: int, size: tuple[int, int]) -> bytes:
    content = bytes(2) + struct.pack(">4H", 0, 0, 0, 0xFFFF) + struct.pack(">HH", *size) + bytes(4) * layers
    part = Item(one.kind, one.content, (*one.configuration, size_of(64, 64)))
    return file(one.brand, [Item(b"iovl", content, (size_of(*size),), (2,) * layers), part])


def chain(one: Coded, length: int) -> bytes:
    links = [Item(b"iden", b"", (size_of(64, 64),), (number + 2,)) for number in range(length)]
    return file(one.brand, [*links, Item(one.kind, one.content, (*one.configuration, size_of(64, 64)))])


def circle(one: Coded) -> bytes:
    return file(one.brand, [Item(b"iden", b"", (size_of(64, 64),), (2,)), Item(b"iden", b"", (size_of(64, 64),), (1,))])


def many(one: Coded, count: int) -> bytes:
    return file(one.brand, [Item(one.kind, one.content, (*one.configuration, size_of(64, 64)))] * count, shared=True)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def full_box(kind: bytes, content: bytes, version: int = 0) -> bytes:
    return box(kind, bytes((version, 0, 0, 0)) + content)


def size_of(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def file(brand: bytes, items: list[Item], padding: int = 0, *, shared: bool = False) -> bytes:
    """A file of these items, the first being what is shown; ``shared``: all of them are the first one's bytes."""
    start = box(b"ftyp", brand + bytes(4) + b"mif1" + b"miaf" + brand)
    meta = _meta(items, 0, padding, shared=shared)
    meta = _meta(items, len(start) + len(meta) + 8, padding, shared=shared)
    contents = items[:1] if shared else items
    return start + meta + box(b"mdat", b"".join(item.content for item in contents))


def _meta(items: list[Item], offset: int, padding: int, *, shared: bool) -> bytes:
    handler = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    primary = full_box(b"pitm", struct.pack(">H", 1))
    places, entries, references = bytearray(), bytearray(), bytearray()
    for number, item in enumerate(items, 1):
        places += struct.pack(">HHHII", number, 0, 1, offset, len(item.content))
        offset += 0 if shared else len(item.content)
        entries += full_box(b"infe", struct.pack(">HH", number, 0) + item.kind + b"\0", 2)
        if item.parts:
            parts = b"".join(struct.pack(">H", part) for part in item.parts)
            references += box(item.reference, struct.pack(">HH", number, len(item.parts)) + parts)
    location = full_box(b"iloc", b"\x44\0" + struct.pack(">H", len(items)) + bytes(places))
    information = full_box(b"iinf", struct.pack(">H", len(items)) + bytes(entries))
    boxes = (handler, primary, location, information, _properties(items), full_box(b"iref", bytes(references)))
    return full_box(b"meta", b"".join(boxes) + (box(b"free", bytes(padding)) if padding else b""))


def _properties(items: list[Item]) -> bytes:
    known: dict[bytes, int] = {}
    rows = bytearray()
    for number, item in enumerate(items, 1):
        indices = [known.setdefault(one, len(known) + 1) for one in dict.fromkeys(item.properties)]
        repeated = len(item.properties) - len(indices)
        indices = (indices + indices[-1:] * repeated)[:255]
        rows += struct.pack(">HB", number, len(indices)) + b"".join(struct.pack(">H", one) for one in indices)
    table = struct.pack(">I", len(items)) + rows
    flagged = box(b"ipma", b"\0\0\0\1" + table)
    return box(b"iprp", box(b"ipco", b"".join(known)) + flagged)


def _content_of(data: bytes) -> bytes:
    at = data.index(b"mdat")
    (length,) = struct.unpack_from(">I", data, at - 4)
    return data[at + 4 : at - 4 + length]


def _boxes_named(data: bytes, names: tuple[bytes, ...]) -> Iterator[bytes]:
    for name in names:
        at = data.find(name)
        if at > 4:
            (length,) = struct.unpack_from(">I", data, at - 4)
            yield data[at - 4 : at - 4 + length]
