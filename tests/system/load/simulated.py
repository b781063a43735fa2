"""A network whose time is known and whose answer depends on the pixels, so that the service's own cost shows."""

import time

import numpy as np
from numpy.typing import NDArray

from app.image.views import Pixels

CLASSES = 1000
POISON, HANG = (255, 0, 255), (0, 255, 255)  # pictures of these colours break, or never end, a forward pass
STEP = 32
FIXED_MS, PER_IMAGE_MS = 4.0, 0.35


class SimulatedNetwork:
    """Sleeps ``fixed_ms + per_image_ms * n`` for a batch of n, with the GIL released, then answers.

    The logits are a fixed random projection of a coarse view of the picture: another picture, another answer, and an
    answer that went to the wrong caller is noticed.
    """

    def __init__(self, fixed_ms: float = FIXED_MS, per_image_ms: float = PER_IMAGE_MS, crop: int = 224) -> None:
        self.fixed_ms = fixed_ms
        self.per_image_ms = per_image_ms
        features = (crop // STEP) ** 2 * 3
        self._projection = np.random.default_rng(0).standard_normal((features, CLASSES)).astype(np.float32)

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 (N, height, width, 3) -> (N, classes), without any delay."""
        coarse = pixels[:, STEP // 2 :: STEP, STEP // 2 :: STEP].reshape(len(pixels), -1).astype(np.float32) / 255
        coarse -= coarse.mean(axis=1, keepdims=True)
        logits: NDArray[np.float32] = np.matmul(coarse, self._projection, dtype=np.float32)
        return logits

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See ``registry.Network``."""
        self._take_time(pixels)
        logits = self.logits(pixels)
        best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(logits, best, axis=1), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        return best.astype(np.int64), np.take_along_axis(_softmax(logits), best, axis=1)

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """See ``registry.Network``."""
        self._take_time(pixels)
        return _softmax(self.logits(pixels))

    def _take_time(self, pixels: Pixels) -> None:
        corner = pixels[:, 0, 0]
        if (corner == POISON).all(axis=1).any():
            raise RuntimeError("a poisoned picture")
        if (corner == HANG).all(axis=1).any():
            time.sleep(3600)
        time.sleep((self.fixed_ms + self.per_image_ms * len(pixels)) / 1000)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
