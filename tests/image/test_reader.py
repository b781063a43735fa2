import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.errors import ServiceError, TooManyPixels, UndecodableImage, UnsupportedMediaType
from app.image.decode import Opened, decode
from app.image.preprocess import preprocess
from app.image.reader import Reader
from tests.image.test_preprocess import MANY, VGG16
from tests.pictures import encode, photograph
from tests.running import ROOT

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


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "fast"])
def test_what_is_called_before_decoding_knows_the_image_and_can_refuse_it(exact: bool) -> None:
    seen = []

    def refuse(opened: Opened) -> None:
        seen.append((opened.format, opened.width, opened.height))
        raise TooManyPixels("Not today.")

    reader = Reader(MAX_PIXELS, exact=exact, before_decoding=refuse)
    with pytest.raises(TooManyPixels, match="Not today"):
        reader.read(CAT, VGG16)
    with pytest.raises(TooManyPixels, match="Not today"):
        reader.photograph(CAT)
    with pytest.raises(UnsupportedMediaType):
        reader.read(b"text", VGG16)
    assert seen == [("JPEG", *photograph("chelsea").size)] * 2


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "fast"])
def test_what_happens_before_decoding_is_not_time_spent_decoding(exact: bool) -> None:
    reader = Reader(MAX_PIXELS, exact=exact, before_decoding=lambda _: time.sleep(0.5))
    began = time.perf_counter()
    reading = reader.read(CAT, VGG16)
    assert reading.decode_s <= time.perf_counter() - began - 0.5


def test_a_process_that_reads_images_never_loads_torch_or_pydantic() -> None:
    code = "import sys, app.image.reader; print({'torch', 'pydantic'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
