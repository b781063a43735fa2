"""Photographs as requests, the answers they must get, and the plain loop that everything is measured against."""

import io
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision.models import VGG16_Weights
from torchvision.transforms import functional

from tests.system.load.simulated import SimulatedNetwork

BOUNDARY = "benchmark-0f3a"
SIZE, QUALITY = (500, 375), 99  # about 120 kB each, as photographs of that size have
Wire = Literal["multipart", "raw", "tensor"]
"""How a server is asked: a form or the bytes alone, or the Open Inference Protocol with its binary tensors."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A photograph, and the class that the simulated network must answer for it."""

    jpeg: bytes
    expected: int

    def request(self, path: str, *, raw: bool, headers: str = "") -> bytes:
        """The whole HTTP/1.1 request, ready to be written to a connection."""
        if raw:
            content_type, body = "image/jpeg", self.jpeg
        else:
            content_type = f"multipart/form-data; boundary={BOUNDARY}"
            part = 'Content-Disposition: form-data; name="file"; filename="photo.jpg"\r\nContent-Type: image/jpeg'
            body = f"--{BOUNDARY}\r\n{part}\r\n\r\n".encode() + self.jpeg + f"\r\n--{BOUNDARY}--\r\n".encode()
        return _post(path, content_type, body, headers)

    def ask(self, wire: Wire, headers: str = "") -> bytes:
        """The request by which a server under load is asked."""
        if wire != "tensor":
            return self.request("/predict", raw=wire == "raw", headers=headers)
        text = len(self.jpeg).to_bytes(4, "little") + self.jpeg
        tensor = {"name": "jpeg", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": len(text)}}
        head = json.dumps({"inputs": [tensor]}).encode()
        headers += f"Inference-Header-Content-Length: {len(head)}\r\n"
        return _post("/v2/models/classify/infer", "application/octet-stream", head + text, headers)


def _post(path: str, content_type: str, body: bytes, headers: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def read_jpegs(folder: Path | None) -> list[bytes]:
    """The JPEG files of a folder, or parts of the photographs that scikit-image ships (a development dependency)."""
    if folder is not None:
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}.")
        found = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
        if not found:
            raise FileNotFoundError(f"There are no JPEGs in {folder}.")
        return found
    from skimage import data

    jpegs = []
    for name in ("chelsea", "coffee", "rocket", "astronaut"):
        picture = Image.fromarray(getattr(data, name)())
        for step in range(8):
            box = (step * 6, step * 4, picture.width - 8 * step, picture.height - 5 * step)
            buffer = io.BytesIO()
            picture.resize(SIZE, Image.Resampling.BICUBIC, box=box).save(buffer, "JPEG", quality=QUALITY)
            jpegs.append(buffer.getvalue())
    return jpegs


def with_answers(jpegs: list[bytes], network: SimulatedNetwork) -> list[Upload]:
    """Uploads with the reference's answer; those whose two best classes nearly tie are left out."""
    uploads = []
    for jpeg in jpegs:
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
        pixels = np.asarray(functional.center_crop(functional.resize(picture, [256]), [224]))
        (logits,) = network.logits(pixels[None])
        second, first = np.sort(logits)[-2:]
        if first - second > 0.02 * abs(first):
            uploads.append(Upload(jpeg, int(logits.argmax())))
    return uploads


def enlarged(jpeg: bytes, pixels: int) -> bytes:
    """The same photograph with so many pixels, as a JPEG."""
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    scale = math.sqrt(pixels / (picture.width * picture.height))
    size = (round(picture.width * scale), round(picture.height * scale))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def plain_loop(jpegs: list[bytes], seconds: float) -> float:
    """CPU seconds per image of the tutorial's way: Pillow, torchvision's float transform, one thread, no server.

    Goes on for so many seconds, and through one image at least.
    """
    transform = VGG16_Weights.IMAGENET1K_V1.transforms()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images, began, cpu = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - began < seconds:
        transform(Image.open(io.BytesIO(jpegs[images % len(jpegs)])).convert("RGB"))
        images += 1
    cpu = time.process_time() - cpu
    torch.set_num_threads(threads)
    return cpu / images
