"""Honest pictures stay inside the bounds on CPU and memory, in a process of their own that has them; bombs do not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.image.cost import cpu_seconds, header_cpu_seconds, header_memory_bytes, memory_bytes
from app.image.decode import open_image
from tests.image.test_decode import save_heic
from tests.pictures import encode, photograph, wide_gamut_profile
from tests.system.attacks.corpus import attacks
from tests.system.attacks.png import RGBA, picture
from tests.system.attacks.trial import MAX_PIXELS, STATUS, Ground

SIZES = ((160, 120), (500, 375), (1800, 1350))
on_linux = pytest.mark.skipif(not Path(STATUS).exists(), reason="reads Linux's account of memory")


@on_linux
@pytest.mark.parametrize("exact", [False, True])
def test_the_costliest_honest_pictures_stay_inside(exact: bool) -> None:
    with Ground(exact=exact) as ground:
        for size in SIZES:
            for name, data in honest(size):
                trial = ground.try_out(data)
                assert " " in trial.outcome, f"{name} of {size}: {trial}"
                assert trial.cpu_s < 0.75 * trial.allowed_cpu_s, f"{name} of {size}: {trial}"


@on_linux
def test_what_takes_more_is_ended_or_refused() -> None:
    bombs = dict(attacks(1_500))
    with Ground() as ground:
        for name in ("webp-many-code-tables", "heif-a-grid-of-large-pictures"):
            outcome = ground.try_out(bombs[name]).outcome
            assert outcome in ("too_costly", "undecodable_image", "SIGPROF"), f"{name}: {outcome}"


def test_the_bounds_grow_with_pixels_and_bytes() -> None:
    small, large = (open_image(encode(photograph().resize(size)), MAX_PIXELS) for size in ((100, 80), (1000, 800)))
    assert header_cpu_seconds(0) < cpu_seconds(small) < cpu_seconds(large) < 1.5
    assert memory_bytes(small) < memory_bytes(large) < 128 * 2**20
    inks = open_image(encode(photograph().resize((1000, 800)).convert("CMYK"), "JPEG"), MAX_PIXELS)
    colours = open_image(encode(photograph().resize((1000, 800)), "JPEG"), MAX_PIXELS)
    assert cpu_seconds(colours) < cpu_seconds(inks)


def test_room_for_the_canvas_of_a_webp_and_no_more_than_is_accepted() -> None:
    webp = encode(Image.new("RGB", (4000, 3000)), "WEBP", lossless=True)
    assert header_memory_bytes(webp, MAX_PIXELS) - header_memory_bytes(bytes(len(webp)), MAX_PIXELS) > 96_000_000
    assert header_memory_bytes(webp, 1000) - header_memory_bytes(bytes(len(webp)), 1000) < 10_000


def honest(size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    """The costliest of every kind: noise, high quality, transparency, a profile, to be turned."""
    noise = np.random.default_rng(1).normal(0, 6, (size[1], size[0], 3))
    image = Image.fromarray(np.clip(np.asarray(photograph("coffee").resize(size)) + noise, 0, 255).astype(np.uint8))
    clear = image.copy()
    clear.putalpha(image.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"exif": exif, "icc_profile": wide_gamut_profile()}
    inks = image.convert("CMYK")
    yield "progressive", encode(image, "JPEG", quality=98, subsampling=0, progressive=True, **more)
    yield "baseline", encode(image, "JPEG", quality=98, subsampling=0, **more)
    yield "inks", encode(inks, "JPEG", quality=98, subsampling=0, progressive=True, exif=exif)
    yield "png", encode(clear, "PNG", compress_level=1, **more)
    yield "png-LA", encode(clear.convert("LA"), "PNG", compress_level=1)
    yield "png-16-bits-interlaced", picture(*size, RGBA, bits=16, interlaced=True)
    yield "webp", encode(clear, "WEBP", quality=95, method=0, **more)
    yield "webp-lossless", encode(clear, "WEBP", lossless=True, method=0, **more)
    yield "gif", encode(image.quantize(256), "GIF", interlace=1)
    yield "bmp", encode(clear, "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"):
        yield f"tiff-{compression}", encode(clear, "TIFF", compression=compression, **more)
    yield "tiff-inks", encode(inks, "TIFF", compression="tiff_lzw")
    yield "avif", encode(clear, "AVIF", quality=95, speed=10, subsampling="4:4:4", **more)
    yield "heic", save_heic(clear, exif=exif.tobytes())
