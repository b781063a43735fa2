"""Colour profiles: what reading a photograph costs with one and without."""

import struct
import time
from collections.abc import Callable
from itertools import product

from PIL import ImageCms
from tqdm import tqdm

from app.image.color import SRGB
from app.image.decode import open_image
from app.image.fast import load_fast
from app.image.reader import Reader
from app.image.views import Views
from tests.pictures import wide_gamut_profile

MAX_PIXELS = 100_000_000
VIEWS = Views(256, 224, "bilinear")
MARK = b"ICC_PROFILE\0"
PROFILES = {
    "none": b"",
    "sRGB": ImageCms.ImageCmsProfile(SRGB).tobytes(),
    "Adobe RGB": wide_gamut_profile(),
}


def measure_profiles(jpegs: list[bytes], rounds: int) -> None:
    """Prints the CPU time of decoding, and of decode and preprocess together; of photographs without a profile."""
    plain = [jpeg for jpeg in jpegs if MARK not in jpeg]
    reader = Reader(MAX_PIXELS, exact=False)
    stages: dict[str, Callable[[bytes], object]] = {
        "decode": lambda data: load_fast(open_image(data, MAX_PIXELS), data, VIEWS),
        "decode and preprocess": lambda data: reader.read(data, VIEWS),
    }
    costs: dict[tuple[str, str], float] = dict.fromkeys(product(PROFILES, stages), 0.0)
    for jpeg in tqdm(plain, unit="photograph", disable=None):
        for _, (name, stage) in product(range(rounds), costs):
            data = with_profile(jpeg, PROFILES[name])
            began = time.process_time()
            stages[stage](data)
            costs[name, stage] += time.process_time() - began
    print(f"{len(plain)} photographs without a profile of their own")
    for (name, stage), cost in costs.items():
        base = costs["none", stage]
        print(f"{name}, {stage}: {1000 * cost / rounds / len(plain):.2f} ms, {cost / base:.2f} of that without")


def with_profile(jpeg: bytes, profile: bytes) -> bytes:
    """The photograph with that profile in a segment of its own (ICC.1:2022, B.4); of less than 64 kB."""
    if not profile:
        return jpeg
    content = MARK + b"\1\1" + profile
    return jpeg[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(content)) + content + jpeg[2:]
