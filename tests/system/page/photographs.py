"""Files as a browser hands them over, by what is special about them."""

import io
from typing import TypedDict

import numpy as np
from PIL import Image

from tests.pictures import encode, photograph

ORIENTATION = 0x0112
TURNED = 6  # to be turned by a quarter, clockwise


class Upload(TypedDict):
    name: str
    mimeType: str
    buffer: bytes


def upload(name: str, content: bytes, media_type: str) -> Upload:
    return {"name": name, "mimeType": media_type, "buffer": content}


CAT = upload("chelsea.png", encode(photograph("chelsea")), "image/png")
COFFEE = upload("coffee.jpg", encode(photograph("coffee"), "JPEG"), "image/jpeg")
TEXT = upload("notes.txt", b"I am no photograph.", "text/plain")
EMPTY = upload("empty.jpg", b"", "image/jpeg")
TRUNCATED = upload("half.jpg", COFFEE["buffer"][: len(COFFEE["buffer"]) // 2], "image/jpeg")


def from_a_phone() -> Upload:
    """The coffee in 12 megapixels, lying on its side, with the EXIF orientation that sets it upright."""
    large = photograph("coffee").resize((4000, 2667))
    grain = np.random.default_rng(0).normal(0, 6, (2667, 4000, 1))
    noisy = Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    lying = noisy.transpose(Image.Transpose.ROTATE_90)
    buffer = io.BytesIO()
    lying.save(buffer, "JPEG", quality=95, exif=exif)
    return upload("IMG_0001.jpg", buffer.getvalue(), "image/jpeg")


def grey_noise(side: int) -> Upload:
    """A PNG of about as many bytes as it has pixels: nothing in it can be predicted."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    return upload("noise.png", encode(Image.fromarray(pixels)), "image/png")
