"""LitServe with the same simulated network, to compare with (extra ``benchmark``). One worker owns the device.

python -m tests.system.load.serve_litserve FIXED_MS PER_IMAGE_MS PORT
"""

import io
import sys
from typing import Any

import litserve
import numpy as np
import torch
from PIL import Image
from starlette.requests import Request
from torchvision.transforms import functional

from app.image.views import Pixels
from tests.system.load.simulated import SimulatedNetwork


class SimulatedAPI(litserve.LitAPI):  # type: ignore[misc]
    def __init__(self, fixed_ms: float, per_image_ms: float) -> None:
        super().__init__(max_batch_size=16, batch_timeout=0.001)
        self._times = fixed_ms, per_image_ms

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self._network = SimulatedNetwork(*self._times)

    def decode_request(self, request: Request) -> Pixels:
        upload = request["file"]  # LitServe hands over the parsed form where the annotation says Request
        picture = Image.open(io.BytesIO(upload.file.read())).convert("RGB")
        cropped = functional.center_crop(functional.resize(picture, [256]), [224])
        functional.normalize(functional.to_tensor(cropped), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        return np.asarray(cropped)

    def batch(self, inputs: list[Pixels]) -> Pixels:
        return np.stack(inputs)

    def predict(self, x: Pixels) -> Any:
        return self._network.top_k(x, 5)[0][:, 0]

    def unbatch(self, output: Any) -> list[int]:
        return [int(index) for index in output]

    def encode_response(self, output: int) -> dict[str, int]:
        return {"class_index": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        SimulatedAPI(float(sys.argv[1]), float(sys.argv[2])), accelerator="cpu", devices=1, healthcheck_path="/readyz"
    )
    server.run(port=int(sys.argv[3]), log_level="warning", generate_client_file=False)
