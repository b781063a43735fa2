"""Colour profiles and EXIF blocks: as large, as deep and as broken as they may come."""

import struct
import zlib
from collections.abc import Iterator

from tests.system.attacks import jpeg, png

CURVES, LARGE_GRID = 65_535, 86


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    for name, profile in profiles().items():
        yield f"profile-{name}", with_profile(profile)
        yield f"large-profile-{name}", with_profile(profile, side)
    cyan = jpeg.frame(jpeg.SEQUENTIAL, side, (0x11,) * 4)
    table = jpeg.tables() + cyan + jpeg.segment(jpeg.SOS, jpeg.scan_header(jpeg.SEQUENTIAL, 0, 4)) + bytes(400_000)
    grid = icc(b"CMYK", {b"A2B0": lut(4, 3, 17)})
    yield "large-cmyk", jpeg.SOI + _pieces(grid) + table + jpeg.EOI
    for name, block in exifs().items():
        yield f"exif-{name}", png.picture(64, 64, png.RGB, before=png.chunk(b"eXIf", block))
        if len(block) < 65_000:
            small = jpeg.scans(jpeg.SEQUENTIAL, 1) + bytes(64)
            before = jpeg.segment(jpeg.APP1, b"Exif\0\0" + block) * 16
            yield f"exif-{name}-in-pieces", jpeg.picture(small, jpeg.SEQUENTIAL, side=64, before=before)


def profiles() -> dict[str, bytes]:
    grid = lut(3, 3, LARGE_GRID)
    curve = b"curv\0\0\0\0" + struct.pack(">I", CURVES) + struct.pack(">H", 7) * CURVES
    matrix = {
        name: b"XYZ \0\0\0\0" + struct.pack(">iii", 30_000, 20_000, 10_000) for name in (b"rXYZ", b"gXYZ", b"bXYZ")
    }
    curves = {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return {
        "of-a-large-grid": icc(b"RGB ", {b"A2B0": grid}),
        "of-one-grid-by-many-names": icc(b"RGB ", {b"A2B0": grid, b"A2B1": grid, b"A2B2": grid}),
        "of-long-curves": icc(b"RGB ", matrix | curves),
        "of-a-long-pipeline": icc(b"RGB ", {b"D2B0": pipeline(32)}),
        "of-nothing": icc(b"RGB ", {}),
        "of-many-tags": icc(b"RGB ", {struct.pack(">I", number): b"text\0\0\0\0a\0\0\0" for number in range(1000)}),
        "that-is-damaged": icc(b"RGB ", {b"A2B0": grid})[: 2**20],
        "that-says-it-is-longer": struct.pack(">I", 0xFFFFFFF0) + icc(b"RGB ", {b"A2B0": grid})[4:],
        "of-long-texts": icc(
            b"RGB ", matrix | {b"desc": b"mluc\0\0\0\0" + struct.pack(">II", 300_000, 12) + bytes(3_600_000)}
        ),
    }


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 4, of a monitor or a printer (ICC.1:2010, 7)."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    shared: dict[bytes, int] = {}
    for name, content in tags.items():
        if content not in shared:
            shared[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", shared[content], len(content))
    header = struct.pack(">I4sI4s4s4s12s4s", start + len(body), b"none", 0x04200000, b"mntr", space,
                         b"Lab " if b"A2B0" in tags or b"D2B0" in tags else b"XYZ ", bytes(12), b"acsp")  # fmt: skip
    white = struct.pack(">iii", 63_190, 65_536, 54_061)
    return (header + bytes(28) + white).ljust(128, b"\0") + table + body


def lut(inputs: int, outputs: int, grid: int) -> bytes:
    """A table of 16-bit numbers with ``grid`` points a side (ICC.1:2010, 10.10)."""
    head = (
        b"mft2\0\0\0\0" + bytes((inputs, outputs, grid, 0)) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    )
    line = struct.pack(">HH", 0, 65_535)
    points = struct.pack(">HHH", 30_000, 20_000, 10_000)[: 2 * outputs] * int(grid**inputs)
    return head + struct.pack(">HH", 2, 2) + line * inputs + points + line * outputs


def pipeline(stages: int) -> bytes:
    """Matrices in a row (ICC.1:2010, 10.16)."""
    matrix = b"matf\0\0\0\0" + struct.pack(">HH", 3, 3) + struct.pack(">12f", 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    start = 16 + 8 * stages
    places = b"".join(struct.pack(">II", start + number * len(matrix), len(matrix)) for number in range(stages))
    return b"mpet\0\0\0\0" + struct.pack(">HHI", 3, 3, stages) + places + matrix * stages


def with_profile(profile: bytes, side: int = 64) -> bytes:
    packed = zlib.compress(profile, 9)
    return png.picture(side, side, png.RGB, before=png.chunk(b"iCCP", b"a\0\0" + packed))


def exifs() -> dict[str, bytes]:
    def block(entries: list[tuple[int, int, int, int]], following: int = 0, more: bytes = b"") -> bytes:
        table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + more

    return {
        "of-many-entries": block([(number, 3, 1, 1) for number in range(65_000)]),
        "of-some-entries": block([(number, 3, 1, 1) for number in range(5_000)]),
        "in-a-circle": block([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x014A, 4, 1, 8), (0xA005, 4, 1, 8)], 8),
        "of-overlaps": block([(number, 7, 60_000, 0) for number in range(4_000)], more=bytes(60_000)),
        "of-texts": block([(number, 2, 12_000, 0) for number in range(1_000)], more=b"a" * 500),
        "of-fractions": block([(number, 5, 8_000, 0) for number in range(5)], more=bytes(64_000)),
        "of-an-orientation-without-end": block([(0x0112, 3, 30_000, 8)], more=bytes(60_000)),
    }


def _pieces(profile: bytes) -> bytes:
    parts = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    return b"".join(
        jpeg.segment(jpeg.APP2, b"ICC_PROFILE\0" + bytes((number + 1, len(parts))) + part)
        for number, part in enumerate(parts)
    )
