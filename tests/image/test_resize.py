"""Resizing by vector code, and what is done where there is none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.image import resize
from app.image.fast import preprocess_fast
from app.image.preprocess import RESAMPLING, preprocess
from app.image.views import Interpolation, Views, resized_size
from tests.image.test_preprocess import EMBEDDED, MANY, VGG16
from tests.pictures import photograph
from tests.running import ROOT

needs_library = pytest.mark.skipif(not resize.AVAILABLE, reason="cykooz.resizer is not installed")


@needs_library
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_any_part_of_any_size_follows_pillow_to_within_a_level(interpolation: Interpolation) -> None:
    random = np.random.default_rng(5)
    off = np.zeros(256, int)
    for _ in range(60):
        width, height = (int(2 ** random.uniform(0, 10)) for _ in range(2))
        image = photograph("coffee").resize((width, height))
        size = resized_size(width, height, int(random.choice([16, 64, 256])))
        left, upper = int(random.integers(size[0])), int(random.integers(size[1]))
        box = (left, upper, int(random.integers(left, size[0])) + 1, int(random.integers(upper, size[1])) + 1)
        part = resize.resize_part(np.asarray(image), size, box, interpolation)
        expected = np.asarray(image.resize(size, RESAMPLING[interpolation]).crop(box))
        assert part.shape == expected.shape
        off += np.bincount(np.abs(part.astype(int) - expected.astype(int)).ravel(), minlength=256)
    assert off[:2].sum() >= 0.9999 * off.sum()
    assert not off[3:].any()


@needs_library
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_stark_contrasts_overshoot_as_pillow_has_them(interpolation: Interpolation) -> None:
    random = np.random.default_rng(6)
    noise = (random.integers(0, 2, (300, 400, 3)) * 255).astype(np.uint8)
    for size in ((341, 256), (1000, 750)):
        part = resize.resize_part(noise, size, (10, 10, 234, 234), interpolation)
        expected = np.asarray(Image.fromarray(noise).resize(size, RESAMPLING[interpolation]).crop((10, 10, 234, 234)))
        off_by = np.abs(part.astype(int) - expected.astype(int))
        assert (off_by <= 1).mean() >= 0.999
        assert off_by.max() <= 2


@needs_library
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's account of threads")
def test_it_starts_no_threads() -> None:
    """A thread would be missing in a process forked later."""
    code = (
        "import numpy, os\n"
        "from app.image.resize import resize_part\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "resize_part(numpy.zeros((3000, 4000, 3), numpy.uint8), (1333, 1000), (0, 0, 1000, 1000), 'bicubic')\n"
        "assert len(os.listdir('/proc/self/task')) == before"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("views", [VGG16, EMBEDDED, MANY], ids=["bilinear", "bicubic", "many"])
def test_without_the_library_pillow_resizes(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.image.fast.AVAILABLE", False)
    image = photograph("coffee")
    assert np.array_equal(preprocess_fast(np.asarray(image), views), preprocess(image, views))


def test_without_the_library_a_process_says_so_once() -> None:
    code = (
        "import logging, sys\n"
        "sys.modules['cykooz_resizer'] = None\n"
        "logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s')\n"
        "from app.image.reader import Reader\n"
        "for exact in (True, False, False): Reader(100, exact=exact)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = result.stderr.splitlines()
    assert line.startswith("INFO cykooz.resizer is not installed")
