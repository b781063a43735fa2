"""JPEGs: scans over scans, markers that hide, metadata by the thousand. Written by hand; most have no entropy data."""

import struct
from collections.abc import Iterator

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SEQUENTIAL, EXTENDED, PROGRESSIVE, LOSSLESS, ARITHMETIC, PROGRESSIVE_ARITHMETIC = 0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA
APP0, APP1, APP2, APP13, COM, DQT, DHT, DNL, DRI, SOS = 0xE0, 0xE1, 0xE2, 0xED, 0xFE, 0xDB, 0xC4, 0xDC, 0xDD, 0xDA
SIDE = 4000
MANY = 10_000


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    for name, marker in FRAMES.items():
        yield f"scans-{name}", picture(scans(marker, MANY), marker)
    for name, marker in FRAMES.items():  # as many as pass for honest, on the largest picture
        yield f"few-scans-{name}", picture(scans(marker, 10), marker, side=side, padding=300_000)
    yield from _hidden()
    yield from _metadata()
    yield "nothing-but-a-header", picture(scans(SEQUENTIAL, 1), SEQUENTIAL, side=side)
    yield "only-the-first-scan", picture(scans(PROGRESSIVE, 1), PROGRESSIVE, side=side, padding=300_000)
    yield "small-scans", picture(scans(PROGRESSIVE, 100), PROGRESSIVE, side=440)
    restart = segment(DRI, b"\0\1") + segment(SOS, scan_header(SEQUENTIAL, 0)) + b"\0\xff\xd0" * 100_000
    yield "restarts", picture(restart, SEQUENTIAL, side=side)
    yield (
        "odd-sampling",
        picture(scans(SEQUENTIAL, 1), SEQUENTIAL, side=side, factors=(0x44, 0x11, 0x11), padding=300_000),
    )
    frames = picture(scans(SEQUENTIAL, 1), SEQUENTIAL, side=64)
    yield "many-frames", several(frames, 3000)


FRAMES = {
    "sequential": SEQUENTIAL,
    "extended": EXTENDED,
    "progressive": PROGRESSIVE,
    "lossless": LOSSLESS,
    "arithmetic": ARITHMETIC,
    "progressive-arithmetic": PROGRESSIVE_ARITHMETIC,
}


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def scan_header(marker: int, number: int, components: int = 1) -> bytes:
    """A scan over the first components; of a progressive frame first the DC, then the AC coefficients, ever finer."""
    chosen = b"".join(bytes((one + 1, 0)) for one in range(components))
    if marker == LOSSLESS:
        return bytes((components,)) + chosen + b"\1\0\0"
    if marker not in (PROGRESSIVE, PROGRESSIVE_ARITHMETIC):
        return bytes((components,)) + chosen + b"\0\x3f\0"
    if not number:
        return bytes((components,)) + chosen + b"\0\0\0"
    fine = 13 - (number - 1) % 13
    return b"\1\1\0\1\x3f" + bytes(((fine + 1 << 4 if number % 13 != 1 else 0) | fine,))


def scans(marker: int, count: int) -> bytes:
    return b"".join(segment(SOS, scan_header(marker, number)) for number in range(count))


def frame(marker: int, side: int, factors: tuple[int, ...] = (0x11,), height: int | None = None) -> bytes:
    components = b"".join(bytes((number + 1, factor, 0)) for number, factor in enumerate(factors))
    height = side if height is None else height
    return segment(marker, struct.pack(">BHHB", 8, height, side, len(factors)) + components)


def tables() -> bytes:
    """Quantization by 1; codes of one bit: nothing changes, the block ends."""
    code = bytes((1,)) + bytes(15) + bytes((0,))
    return segment(DQT, bytes((0,)) + b"\1" * 64) + segment(DHT, b"\0" + code + b"\x10" + code)


def picture(
    body: bytes,
    marker: int,
    *,
    side: int = SIDE,
    factors: tuple[int, ...] = (0x11,),
    before: bytes = b"",
    padding: int = 0,
) -> bytes:
    """A picture of ``side`` x ``side``, with ``padding`` bytes of entropy-coded zeros behind its scans."""
    return SOI + before + tables() + frame(marker, side, factors) + body + bytes(padding) + EOI


def several(one: bytes, count: int) -> bytes:
    """One picture many times, with the index of CIPA DC-007 in front."""
    entries = struct.pack("<IIIHH", 0x030000, len(one), 0, 0, 0) * count
    index = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, count)
    index += struct.pack("<HHII", 0xB002, 7, len(entries), 50)
    block = b"MPF\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + index + bytes(4) + entries
    return one[:2] + segment(APP2, block) + one[2:] + one * (count - 1)


def _hidden() -> Iterator[tuple[str, bytes]]:
    """Ten thousand scans behind what a careless look at the markers would stop at, or take for something else."""
    body, header = scans(PROGRESSIVE, MANY), frame(PROGRESSIVE, SIDE)
    yield "fill-bytes", SOI + tables() + b"\xff\xff" + header + body.replace(b"\xff", b"\xff\xff") + EOI
    yield "stray-bytes", SOI + tables() + b"stray" + header + body.replace(b"\xff", b"\0\xff") + EOI
    decoy = segment(APP0, frame(SEQUENTIAL, 16) + EOI)
    yield "a-decoy-in-a-segment", SOI + decoy + tables() + header + body + EOI
    yield "an-early-end", SOI + tables() + EOI + SOI + tables() + header + body + EOI
    yield "restarts-between", SOI + tables() + header + body.replace(b"\xff", b"\xff\xd0\xff") + EOI
    yield (
        "number-of-lines",
        SOI + tables() + frame(PROGRESSIVE, SIDE, height=0) + body + segment(DNL, b"\x0f\xa0") + EOI,
    )
    yield "short-lengths", SOI + b"\xff\xe0\0\0" + tables() + header + body + EOI


def _metadata() -> Iterator[tuple[str, bytes]]:
    small = scans(SEQUENTIAL, 1) + bytes(64)
    floods = {
        "comments": segment(COM, b"") * 250_000,
        "tables": segment(DQT, (b"\0" + b"\1" * 64) * 1000) * 16,
        "photoshop": segment(APP13, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * 16,
        "exif-blocks": segment(APP1, b"Exif\0\0" + bytes(16)) * 20_000,
        "profile-pieces": segment(APP2, b"ICC_PROFILE\0\1\xff" + bytes(60_000)) * 16,
        "fill": b"\xff" * 1_000_000,
        "junk": b"\0" * 1_000_000,
        "starts": SOI * 250_000,
    }
    for name, flood in floods.items():
        yield name, picture(small, SEQUENTIAL, side=64, before=flood)
    yield "scans-behind-the-picture", picture(small, SEQUENTIAL, side=64) + scans(SEQUENTIAL, MANY)
