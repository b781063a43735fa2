"""mosec with the same simulated network, to compare with (``scripts/install-peers``).

Its Rust front takes raw bodies; a decoding process for each core feeds the one that owns the device, as in mosec's own
ResNet example. Batches of up to 16 close 1 ms after their first image. Settled in its favour: pixels travel between the
two as bytes, a quarter of floats, and it refuses beyond 256 requests (its default is 1,024) and after 5 s (3 s). Linux
and macOS, Python 3.11 to 3.14.

python -m tests.system.load.serve_mosec FIXED_MS PER_IMAGE_MS PORT
"""

import io
import logging
import os
import sys

import numpy as np
import torch
from mosec import Server, Worker
from PIL import Image
from torchvision.transforms import functional

from app.image.views import Pixels
from tests.system.load.simulated import SimulatedNetwork


class Preprocess(Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.set_num_threads(1)

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> Pixels:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        cropped = functional.center_crop(functional.resize(picture, [256]), [224])
        functional.normalize(functional.to_tensor(cropped), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        return np.asarray(cropped)


class Inference(Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._network = SimulatedNetwork(float(sys.argv[1]), float(sys.argv[2]))

    def forward(self, data: list[Pixels]) -> list[dict[str, int]]:
        indices, _ = self._network.top_k(np.stack(data), 5)
        return [{"class_index": int(index)} for index in indices[:, 0]]


if __name__ == "__main__":
    logging.getLogger("mosec.log").setLevel(logging.ERROR)
    settings = {"ADDRESS": "127.0.0.1", "PORT": sys.argv[3], "LOG_LEVEL": "error", "CAPACITY": "256", "TIMEOUT": "5000"}
    os.environ |= {f"MOSEC_{name}": value for name, value in settings.items()}
    server = Server()
    server.append_worker(Preprocess, num=os.cpu_count() or 1, route="/predict")
    server.append_worker(Inference, max_batch_size=16, max_wait_time=1, route="/predict")
    server.run()
