"""What the first bytes tell."""

import struct

import pytest

from app.image.formats import SUPPORTED, sniff_format, webp_size
from tests.pictures import encode, plain
from tests.system.fuzzing.seeds import seeds

SEEDS = seeds()


def test_the_format_is_told_by_content() -> None:
    for name, data in SEEDS.items():
        assert sniff_format(data) == name.partition("-")[0], name
    assert {name.partition("-")[0] for name in SEEDS} == set(SUPPORTED)


@pytest.mark.parametrize("data", [b"", b"B", b"RIFF\0\0\0\0WAVEfmt ", b"\0\0\0\x18ftypmp42" + bytes(40), b"%PDF-1.7"])
def test_what_is_something_else_has_no_format(data: bytes) -> None:
    assert sniff_format(data) is None


@pytest.mark.parametrize(("brand", "expected"), [(b"avif", "AVIF"), (b"heic", "HEIF"), (b"mp41", None)])
def test_a_compatible_brand_counts_as_the_first_one_does(brand: bytes, expected: str | None) -> None:
    box = struct.pack(">I", 24) + b"ftypmp42" + bytes(4) + b"isom" + brand
    assert sniff_format(box + bytes(40)) == expected
    beyond_the_box = struct.pack(">I", 20) + b"ftypmp42" + bytes(4) + b"isom" + brand
    assert sniff_format(beyond_the_box) is None


@pytest.mark.parametrize(
    "options",
    [{"quality": 80}, {"lossless": True}, {"quality": 80, "save_all": True, "append_images": [plain((1, 2, 3))]}],
    ids=["VP8", "VP8L", "VP8X"],
)
def test_webp_size_is_read_from_its_header(options: dict[str, object]) -> None:
    data = encode(plain((9, 9, 9)), "WEBP", **options)
    assert webp_size(data) == (300, 260)
    assert webp_size(data[:29]) is None
    assert webp_size(data[:12] + b"ALPH" + data[16:]) is None
