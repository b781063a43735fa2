"""What is refused at sight, and what is not."""

import io
import os
import struct
import time
from dataclasses import replace
from random import Random

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from app.image import iso_media, jpeg
from app.image.formats import Format, sniff_format
from app.image.guards import GUARDS, is_costly
from app.image.tiff import read_directory
from tests.pictures import encode, photograph
from tests.system.attacks import isomedia
from tests.system.attacks import jpeg as hostile
from tests.system.attacks.corpus import attacks
from tests.system.attacks.tiff import tiff
from tests.system.fuzzing.seeds import gradient, seeds

SEEDS = seeds()
SMALL = 2_500
# Those that only a bound stops, or that cost no more than their size accounts for.
PASS = ("large-frame", "zeros", "small-scans", "only-the-first-scan", "few-scans-progressive", "no-bits", "profile-of")


def test_nothing_that_an_encoder_writes_is_costly() -> None:
    for name, data in SEEDS.items():
        found = sniff_format(data)
        assert found
        assert not is_costly(data, found), name


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_large_photographs_are_not_costly(mode: str, progressive: bool) -> None:
    image = photograph().resize((4000, 3000)).convert(mode)
    for quality in (1, 95):
        assert not jpeg.is_costly(encode(image, "JPEG", quality=quality, progressive=progressive))
    plain = Image.new(mode, (6000, 5000))
    assert not jpeg.is_costly(encode(plain, "JPEG", quality=1, progressive=progressive, optimize=True))


def test_every_way_to_hide_scans_is_seen() -> None:
    found = dict(hostile.attacks(SMALL))
    names = ("fill-bytes", "stray-bytes", "a-decoy-in-a-segment", "an-early-end", "restarts-between", "short-lengths")
    for name in (*names, *(f"scans-{kind}" for kind in hostile.FRAMES)):
        assert jpeg.is_costly(found[name]), name


def test_a_second_picture_and_what_lies_behind_the_first_do_not_count() -> None:
    one = encode(photograph(), "JPEG", progressive=True)
    assert not jpeg.is_costly(one + one * 50)
    assert not jpeg.is_costly(one + b"\xff\xda" * 10_000)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_what_lies_behind_a_picture_does_not_count(name: Format) -> None:
    """Phones append films, and some programs whatever they like."""
    picture = encode(photograph(), name)
    for more in (bytes(2**21), b"\xff" * 2**21, np.random.default_rng(0).bytes(2**21)):
        assert not is_costly(picture + more, name)


def test_segments_are_walked_as_libjpeg_does() -> None:
    data = hostile.SOI + b"\xff\xff\xff\xe0\0\4ab" + b"stray\xff\0" + hostile.frame(hostile.SEQUENTIAL, 8) + hostile.EOI
    found = list(jpeg.segments(data))
    assert [segment.marker for segment in found] == [0xD8, 0xE0, 0xC0, 0xD9]
    assert data[found[1].start : found[1].end] == b"ab"
    assert [segment.loose for segment in found] == [0, 2, 7, 0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_big", [False, True])
def test_the_first_directory_of_a_tiff(order: str, is_big: bool) -> None:
    entry = "HHQQ" if is_big else "HHII"
    rows = ((256, 4, 1, 7), (257, 4, 1, 5), (273, 4, 3, 0))
    table = b"".join(struct.pack(order + entry, *row) for row in rows)
    if order == ">":  # a number of four bytes lies at the beginning of its eight
        table = b"".join(struct.pack(order + entry[:3], *row[:3]) + struct.pack(">I", row[3]) + bytes(4 * is_big)
                         for row in rows)  # fmt: skip
    mark, number = (b"II", b"MM")[order == ">"], 43 if is_big else 42
    head = mark + struct.pack(order + "H", number)
    head += struct.pack(order + "HHQQ", 8, 0, 16, 3) if is_big else struct.pack(order + "IH", 8, 3)
    directory = read_directory(head + table)
    assert directory
    assert directory.size == (7, 5)
    assert directory.counts[273] == 3
    assert directory.is_costly  # one strip has all the rows


def test_a_number_of_a_tiff_may_lie_elsewhere() -> None:
    data = tiff(16, 16, 8, struct.pack("<Q", 16_000), tile=(8, 8), kind=16)  # of eight bytes, behind the header
    directory = read_directory(data)
    assert directory
    assert directory.numbers[322] == 16_000
    assert directory.is_costly
    beyond = read_directory(tiff(16, 16, 8, b"", tile=(1_000, 1_000), kind=16))
    assert beyond
    assert beyond.numbers[322] == 0


def test_a_grid_of_pieces_larger_than_itself_is_costly_and_a_camera_s_is_not() -> None:
    one = isomedia.coded("HEIF", 64)
    tile = replace(one, content=bytes(64))
    assert iso_media.is_costly(isomedia.grid(tile, (2000, 2000), (16, 16), size=(4000, 3000)))
    assert not iso_media.is_costly(isomedia.grid(tile, (512, 512), (8, 6), size=(4032, 3024)))
    assert not iso_media.is_costly(isomedia.grid(tile, (512, 512), (2, 2), size=(513, 513)))
    assert iso_media.is_costly(isomedia.grid(tile, (512, 512), (100, 100), size=(4032, 3024)))
    assert not iso_media.is_costly(isomedia.circle(one))


def test_a_picture_in_tiles_as_an_encoder_writes_it_is_not_costly() -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photograph().resize((1300, 900))).save(buffer, tile_size=256)
    assert b"grid" in buffer.getvalue()
    assert not is_costly(buffer.getvalue(), "HEIF")


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}, {"tiffinfo": {278: 1}}])
def test_what_pillow_writes_as_a_tiff_is_not_costly(options: dict[str, object]) -> None:
    for mode in ("1", "L", "RGB", "RGBA", "CMYK"):
        data = encode(gradient((1000, 3000)).convert(mode), "TIFF", **options)
        directory = read_directory(data)
        assert directory
        assert directory.size == (1000, 3000)
        assert not directory.is_costly


@pytest.mark.parametrize("name", GUARDS)
def test_no_bytes_make_a_guard_raise(name: Format) -> None:
    random = Random(5)  # noqa: S311
    for data in [b"", b"\xff", os.urandom(200), *SEEDS.values()]:
        for _ in range(20):
            damaged = bytearray(data[: random.randrange(len(data) + 1)])
            for _ in range(min(8, len(damaged))):
                damaged[random.randrange(len(damaged))] = random.randrange(256)
            assert is_costly(bytes(damaged), name) in (True, False)


def test_a_guard_is_quick_beside_its_decoder() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1000, 1500, 3), np.uint8)
    for image_format in ("JPEG", "PNG", "TIFF", "BMP", "GIF", "AVIF"):
        data = encode(Image.fromarray(noise), image_format, **({"speed": 10} if image_format == "AVIF" else {}))
        found = sniff_format(data)
        assert found
        guarding, decoding = _cpu_s(lambda d=data, f=found: is_costly(d, f)), _cpu_s(lambda d=data: _load(d))
        assert guarding < 0.25 * decoding, image_format


def test_some_attacks_are_refused_at_sight_and_others_pass_for_honest() -> None:
    refused = {name for name, data in attacks(SMALL) if (found := sniff_format(data)) and is_costly(data, found)}
    for name in ("png-small-chunks", "png-profiles", "gif-comments", "gif-extensions", "gif-a-long-comment", "bmp-runs",
                 "tiff-one-tile-deflated", "tiff-more-strips-than-rows", "tiff-large-pieces-of-a-big-file",
                 "tiff-many-tags", "tiff-a-tile-in-signed-numbers", "tiff-a-tile-said-twice", "avif-many-items",
                 "heif-a-grid-of-large-pictures", "jpeg-comments", "jpeg-fill", "jpeg-tables"):  # fmt: skip
        assert name in refused
    assert not [name for name in refused if any(part in name for part in PASS)]


def _cpu_s(work: object) -> float:
    began = time.process_time()
    assert callable(work)
    work()
    return time.process_time() - began


def _load(data: bytes) -> None:
    Image.open(io.BytesIO(data)).load()
