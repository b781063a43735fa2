"""What a JPEG makes its decoder do, told from its markers: a cheap look before a decoder is let at it (ITU T.81, B).

It walks as libjpeg does: bytes that are no marker are skipped, fill bytes count for nothing, a segment is left by its
length, and an entropy-coded part ends at the next marker that is not a restart.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SOI, EOI, SOS, DQT, APP1, APP13 = 0xD8, 0xD9, 0xDA, 0xDB, 0xE1, 0xED
BARE = frozenset({0x01, SOI, EOI})
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
EXIF = b"Exif\x00\x00"

# Real files have a few dozen segments and at most some hundred: a profile or a depth map in pieces of 64 kB. Each costs
# Pillow some microseconds of Python.
MAX_SEGMENTS = 1000
# Pillow looks at each of them in Python.
MAX_LOOSE_BYTES = 64 * 1024
# 16 tables of 64 two-byte numbers are all that there can be; some encoders repeat them.
MAX_TABLE_BYTES = 16 * 1024
# Pillow joins EXIF blocks, and reads the directory in each of Photoshop's; there is one, or a few.
MAX_EXIF_BLOCKS = 16
MAX_PHOTOSHOP_BYTES = 2**20
# libjpeg passes over every block of a scan's components again. Encoders write ten scans, six or so of them over the
# luminance; scripts for jpegtran come to thirty. A sequential frame has each component once.
MAX_SCANS = 100
MAX_PASSES = 12
MAX_SEQUENTIAL_PASSES = 2
# Small pictures may have as many passes as they like: 0.1 s.
FREE_PIXELS = 20_000_000
# A block of 8 x 8 takes a bit at least. Where there are fewer, most of a large picture is missing and would be made up.
LARGE_PIXELS = 1_000_000
BLOCK = 64
# Frame and scan headers are shorter.
LONGEST_HEADER = 1024


class Segment(NamedTuple):
    """A marker, where its content begins (behind the length) and ends, and how many bytes before it were no marker."""

    marker: int
    start: int
    end: int
    loose: int


class Frame(NamedTuple):
    """What a frame header says; ``areas`` has each component's samples in a unit of the picture, by its id."""

    is_progressive: bool
    pixels: int
    areas: dict[int, int]
    unit: int
    """Pixels in such a unit, as samples of the largest component."""

    @property
    def least_bytes(self) -> int:
        """What the entropy-coded parts take at the very least."""
        blocks = self.pixels * sum(self.areas.values()) // (self.unit * BLOCK)
        return blocks // 8 if self.pixels > LARGE_PIXELS else 0

    def share(self, content: bytes) -> float:
        """Which part of the blocks a scan with that header passes over; all of them where it makes no sense."""
        count = content[0] if content else 0
        ids = content[1 : 1 + 2 * count : 2]
        if not ids or not self.areas.keys() >= set(ids):
            return 1.0
        return sum(self.areas[component] for component in ids) / sum(self.areas.values())


def segments(data: bytes) -> Iterator[Segment]:
    """The segments of a JPEG's first image, one after the other; a scan's entropy-coded part counts as loose bytes."""
    at, has_scan = 0, False
    while found := MARKER.search(data, at):
        marker, start = found[1][0], found.end()
        length = 0 if marker in BARE else max(2, int.from_bytes(data[start : start + 2], "big"))
        yield Segment(marker, start + min(length, 2), start + length, found.start() - at)
        if marker == EOI and has_scan:
            return
        has_scan = has_scan or marker == SOS
        at = start + length


def is_costly(data: bytes) -> bool:
    """Whether decoding takes unreasonably long for what the picture is."""
    counts, frame, passes = _Counts(), None, 0.0
    for segment in segments(data):
        content = data[segment.start : min(segment.end, segment.start + LONGEST_HEADER)]
        if segment.marker in FRAMES:
            frame = _frame(segment.marker, content) or frame
        elif segment.marker == SOS:
            if frame is None:
                return False  # libjpeg stops here
            if not counts.scans and len(data) - segment.end < frame.least_bytes:
                return True
            passes += frame.share(content)
            if passes * frame.pixels > FREE_PIXELS and passes > (
                MAX_PASSES if frame.is_progressive else MAX_SEQUENTIAL_PASSES
            ):
                return True
        counts.add(segment, content)
        if counts.are_costly:
            return True
    return False


@dataclass(slots=True)
class _Counts:
    """What costs by its number, whatever the size of the picture."""

    segments: int = 0
    scans: int = 0
    loose: int = 0
    tables: int = 0
    photoshop: int = 0
    exif_blocks: int = 0

    def add(self, segment: Segment, content: bytes) -> None:
        size = segment.end - segment.start
        self.segments += 1
        self.loose += segment.loose if not self.scans else 0  # afterwards libjpeg alone looks at them
        self.scans += segment.marker == SOS
        self.tables += size if segment.marker == DQT else 0
        self.photoshop += size if segment.marker == APP13 else 0
        self.exif_blocks += segment.marker == APP1 and content.startswith(EXIF)

    @property
    def are_costly(self) -> bool:
        return (
            self.segments > MAX_SEGMENTS
            or self.scans > MAX_SCANS
            or self.loose > MAX_LOOSE_BYTES
            or self.tables > MAX_TABLE_BYTES
            or self.photoshop > MAX_PHOTOSHOP_BYTES
            or self.exif_blocks > MAX_EXIF_BLOCKS
        )


def _frame(marker: int, content: bytes) -> Frame | None:
    """What a frame header says (B.2.2), or ``None`` where it is cut off."""
    if len(content) < 6:
        return None
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    areas = {content[at]: (content[at + 1] >> 4) * (content[at + 1] & 15) for at in range(6, len(content) - 1, 3)}
    if not any(areas.values()):
        return None
    return Frame(marker in PROGRESSIVE, width * height, areas, max(areas.values()))
