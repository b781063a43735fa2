"""The documented bound on what decoding may hold in memory, on either path, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image.test_decode import save_heic
from tests.pictures import encode, wide_gamut_profile
from tests.running import ROOT

BYTES_PER_PIXEL = 18
WIDTH, HEIGHT = 4000, 2500
MEASURE = """
import pathlib, sys
from app.image.reader import Reader
from app.image.views import Views
def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
data = pathlib.Path(sys.argv[1]).read_bytes()
before = peak()
views = Views(256, 224, "bilinear")
Reader(10**9, exact=False).read(data, views)
image = Reader(10**9, exact=True).read(data, views).image
print((peak() - before) / (image.width * image.height))
"""


def picture(mode: str) -> Image.Image:
    rows, columns = np.arange(HEIGHT)[:, None], np.arange(WIDTH)[None]
    rgb = np.stack([(columns + rows) % 256, (columns * 2 + rows) % 256, columns // 7 % 256 + 0 * rows], axis=-1)
    image = Image.fromarray(rgb.astype(np.uint8))
    image.putalpha(128)
    return image.convert(mode)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("image_format", "mode", "options"),
    [
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"icc_profile": wide_gamut_profile()}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {"compress_level": 1}),
        ("PNG", "LA", {"compress_level": 1}),
        ("WEBP", "RGBA", {"method": 0}),
        ("GIF", "P", {}),
        ("TIFF", "RGBA", {}),
        ("BMP", "RGB", {}),
        ("AVIF", "RGBA", {"speed": 10}),
        ("HEIF", "RGBA", {}),
    ],
)
def test_decoding_stays_within_the_bound(
    tmp_path: Path, image_format: str, mode: str, options: dict[str, object]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turning needs a second picture
    more = {} if image_format in ("BMP", "GIF") else {"exif": exif}
    image = picture(mode)
    data = save_heic(image) if image_format == "HEIF" else encode(image, image_format, **options, **more)
    path = tmp_path / "picture"
    path.write_bytes(data)
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 3 < float(result.stdout) <= BYTES_PER_PIXEL
