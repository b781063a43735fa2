"""The simulated network on a device whose memory holds two images: what a full GPU does to the service.

python -m tests.system.deployment.serve_small_device FIXED_MS PER_IMAGE_MS
"""

import sys

import numpy as np
from numpy.typing import NDArray

from app.errors import BatchTooLarge
from app.image.views import Pixels
from tests.system.load.serve_simulated import run
from tests.system.load.simulated import SimulatedNetwork

CAPACITY = 2


class SmallDevice(SimulatedNetwork):
    """Says what the real network says when CUDA has no memory left."""

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See ``registry.Network``."""
        if len(pixels) > CAPACITY:
            raise BatchTooLarge(f"{len(pixels)} images, room for {CAPACITY}")
        return super().top_k(pixels, k)


if __name__ == "__main__":
    run(SmallDevice(float(sys.argv[1]), float(sys.argv[2])))
