"""The simulated network on a device whose memory holds two images: what a full GPU does to the service.

python -m scripts.deployment.serve_small_device FIXED_MS PER_IMAGE_MS
"""

import sys
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

import app.image.fast  # noqa: F401 - torch, which a real network would have imported by now
from app.errors import BatchTooLarge
from app.listener import listen
from app.logs import set_up_logging
from app.main import create_app
from app.model.registry import Pixels
from app.model.selection import Selection
from app.server import leave, run
from app.settings import read_settings
from scripts.benchmarking.serve_simulated import simulated_model
from scripts.benchmarking.simulated import SimulatedNetwork

CAPACITY = 2


class SmallDevice(SimulatedNetwork):
    """Says what the real network says when CUDA has no memory left."""

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See ``registry.Network``."""
        if len(pixels) > CAPACITY:
            raise BatchTooLarge(f"{len(pixels)} images, room for {CAPACITY}")
        return super().top_k(pixels, k)


def main() -> NoReturn:
    settings = read_settings()
    set_up_logging(settings.log_format, settings.log_level)
    model = simulated_model(settings, SmallDevice(float(sys.argv[1]), float(sys.argv[2])))
    app = create_app(settings, lambda _: model, Selection((model.name,)))
    leave(run(app, listen(settings.host, settings.port)))


if __name__ == "__main__":
    main()
