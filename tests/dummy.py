"""A network whose answer can be computed from the pixels, behind the real interface."""

import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.image.views import Pixels
from app.model.labels import Label, read_labels
from app.model.manifest import Manifest, read_manifest
from app.model.registry import LoadedModel, ScoreMaps

MODELS = Path(__file__).resolve().parent.parent / "models"
POISON_BLUE = 255
PLACE = 64
Color = tuple[int, int, int]


def expected_class(color: Color) -> int:
    """What the dummy answers to a picture of one colour."""
    red, green, _ = color
    return red + 256 * (green % 3)


class DummyNetwork:
    """The class is a function of the top left pixel. Pictures with ``POISON_BLUE`` break the whole batch.

    ``gate`` holds every forward until it is set, ``begun`` counts those that have come so far; ``shuffle`` answers each
    image with its neighbour's answer.
    """

    def __init__(self, seconds: float = 0.0, *, shuffle: bool = False, classes: int = 1000) -> None:
        self.seconds = seconds
        self.shuffle = shuffle
        self.classes = classes
        self.batches: list[int] = []
        self.begun = 0
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self.begun += 1
        self.gate.wait(30)
        time.sleep(self.seconds)
        self.batches.append(len(pixels))
        if self.broken:
            raise OSError("the device is gone")
        if (pixels[:, 0, 0, 2] == POISON_BLUE).any():
            raise RuntimeError("a poisoned picture")
        first = [expected_class((int(red), int(green), int(blue))) for red, green, blue in pixels[:, 0, 0]]
        indices = (np.array(first)[:, None] + np.arange(k)) % self.classes
        if self.shuffle:
            indices = np.roll(indices, 1, axis=0)
        probabilities = np.tile((0.9 * 0.1 ** np.arange(k)).astype(np.float32), (len(pixels), 1))
        return indices, probabilities

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        indices, _ = self.top_k(pixels, 1)
        probabilities = np.full((len(pixels), self.classes), 0.1 / (self.classes - 1), dtype=np.float32)
        probabilities[np.arange(len(pixels)), indices[:, 0]] = 0.9
        return probabilities

    def score_maps(self, pixels: Pixels) -> ScoreMaps:
        """Of each place the class is a function of its top left pixel."""
        self.top_k(pixels, 1)
        corners = pixels[:, ::PLACE, ::PLACE]
        scores = np.zeros((*corners.shape[:3], self.classes), dtype=np.float32)
        for place in np.ndindex(corners.shape[:3]):
            red, green, blue = corners[place]
            scores[(*place, expected_class((int(red), int(green), int(blue))))] = 10
        return ScoreMaps(scores, (0.0, 0.0, 1.0, 1.0))


def dummy_model(
    network: DummyNetwork,
    name: str = "vgg16",
    *,
    max_batch_size: int = 8,
    labels: tuple[Label, ...] | None = None,
    dense: bool = True,
) -> LoadedModel:
    manifest: Manifest = read_manifest(MODELS / "vgg16" / "manifest.json").model_copy(update={"name": name})
    return LoadedModel(
        manifest=manifest,
        labels=labels or read_labels(MODELS / "labels" / "imagenet1k.csv"),
        network=network,
        weights_sha256="0" * 64,
        device="cpu",
        precision="fp32",
        max_batch_size=max_batch_size,
        dense=dense,
        heatmap=dense,
    )
