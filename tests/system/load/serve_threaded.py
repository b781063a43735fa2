"""The tutorial service, to compare with: FastAPI, a thread per request, Pillow and torchvision, no batching.

python -m tests.system.load.serve_threaded FIXED_MS PER_IMAGE_MS PORT
"""

import io
import sys
import threading

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from torchvision.transforms import functional

from tests.system.load.simulated import SimulatedNetwork


def build(network: SimulatedNetwork) -> FastAPI:
    app = FastAPI()
    one_at_a_time = threading.Lock()

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, int]:
        picture = Image.open(io.BytesIO(file.file.read())).convert("RGB")
        pixels = functional.pil_to_tensor(functional.center_crop(functional.resize(picture, [256]), [224]))
        # The tutorial normalises on the CPU, per image; the simulated network wants the bytes back.
        functional.normalize(pixels.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        with one_at_a_time:
            indices, _ = network.top_k(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())[None], 5)
        return {"class_index": int(indices[0, 0])}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    torch.set_num_threads(1)
    uvicorn.run(
        build(SimulatedNetwork(float(sys.argv[1]), float(sys.argv[2]))), port=int(sys.argv[3]), log_level="warning"
    )
