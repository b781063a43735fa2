from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.errors import ServiceError, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.decode import decode
from app.image.preprocess import preprocess
from app.image.reader import Reader
from tests.image.test_preprocess import MANY, VGG16
from tests.pictures import encode, photograph
from tests.running import settings

MAX_PIXELS = 20_000_000
EXACT, FAST = Reader(MAX_PIXELS, exact=True), Reader(MAX_PIXELS, exact=False)
CAT = encode(photograph("chelsea"), "JPEG")


@pytest.mark.parametrize("views", [VGG16, MANY, replace(VGG16, short_side=512)], ids=["centre", "many", "large"])
def test_both_ways_show_the_same_views(views: object) -> None:
    exact, fast = EXACT.read(CAT, views), FAST.read(CAT, views)  # type: ignore[arg-type]
    assert exact.pixels.shape == fast.pixels.shape
    assert np.abs(exact.pixels.astype(int) - fast.pixels.astype(int)).max() <= 2
    assert exact.image == fast.image == ("JPEG", *photograph("chelsea").size)


def test_the_exact_way_is_the_reference() -> None:
    reading = EXACT.read(CAT, VGG16)
    assert np.array_equal(reading.pixels, preprocess(decode(CAT, MAX_PIXELS).pixels, VGG16))
    assert reading.decode_s > 0
    assert reading.preprocess_s > 0


def test_a_photograph_comes_upright_and_whole() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    large = encode(photograph("coffee").resize((4200, 2800)), "JPEG", exif=exif)
    for reader in (EXACT, FAST):
        assert reader.photograph(large).size == (2800, 4200)
        assert reader.photograph(large, short_side=200).size == (1400, 2100)


@pytest.mark.parametrize("reader", [EXACT, FAST], ids=["exact", "fast"])
def test_errors_are_those_of_the_contract(reader: Reader) -> None:
    faults: dict[bytes, type[ServiceError]] = {
        b"text": UnsupportedMediaType,
        CAT[:2000]: UndecodableImage,
        encode(photograph().resize((6000, 4000)), "JPEG"): TooManyPixels,
    }
    for data, error in faults.items():
        with pytest.raises(error):
            reader.read(data, VGG16)
        with pytest.raises(error):
            reader.photograph(data)


def test_it_does_what_the_settings_say() -> None:
    large = encode(photograph("coffee").resize((3000, 2400)), "JPEG")
    exact = Reader.from_settings(settings(decode="exact")).read(large, VGG16)
    fast = Reader.from_settings(settings()).read(large, VGG16)
    assert np.array_equal(exact.pixels, EXACT.read(large, VGG16).pixels)
    assert not np.array_equal(fast.pixels, exact.pixels)
    with pytest.raises(TooManyPixels):
        Reader.from_settings(settings(max_pixels=1000)).read(large, VGG16)
