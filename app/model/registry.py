"""The models being served, by name, and the one function that runs a batch. No torch in here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelNotFound
from app.image.views import Pixels
from app.model.labels import Label
from app.model.manifest import Manifest


class Network(Protocol):
    """What answers: weights on a device, or anything that stands behind the same interface."""

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k most probable classes of each image.

        ``pixels`` is uint8 of shape (N, height, width, 3), RGB. Returns class indices and probabilities, both of shape
        (N, k), most probable first.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, kw_only=True)
class ServedModel:
    """What is known of a model that answers, here or in another process. Compared by identity, as is its network."""

    manifest: Manifest
    labels: tuple[Label, ...]
    weights_sha256: str
    device: str
    precision: str
    max_batch_size: int
    fallback: bool = False
    served_since: datetime = field(default_factory=partial(datetime.now, UTC))

    @property
    def name(self) -> str:
        return self.manifest.name


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LoadedModel(ServedModel):
    """A model ready to answer: a model and its replacement are two, and never share a batch.

    ``warm_up`` are the batch sizes that must have been run once before anybody waits for them, ``in_flight`` says how
    many batches may be under way at a time.
    """

    network: Network
    warm_up: tuple[int, ...] = ()
    in_flight: int = 1


class Item(NamedTuple):
    """One image in a batch: uint8 (height, width, 3), and how many classes its caller asked for."""

    pixels: Pixels
    top_k: int


class Candidate(NamedTuple):
    class_index: int
    probability: float


class Registry:
    """Name -> served model, and which one answers when a request names none."""

    def __init__(self, default: str) -> None:
        self.default = default
        self._models: dict[str, ServedModel] = {}
        self.unavailable: dict[str, str] = {}
        """Models that were to be served and are not: name -> a reason that callers may read."""

    def add(self, model: ServedModel) -> None:
        """Serve a model from now on, in the place of one of the same name."""
        self._models[model.name] = model
        self.unavailable.pop(model.name, None)

    def replace(self, models: Sequence[ServedModel], unavailable: Mapping[str, str]) -> None:
        """Serve these from now on, and no others."""
        self._models = {model.name: model for model in models}
        self.unavailable = dict(unavailable)

    def get(self, name: str | None = None) -> ServedModel:
        """The model of that name, or the default. Raises ``ModelNotFound``."""
        model = self._models.get(self.default if name is None else name)
        if model is None:
            served = ", ".join(sorted(self._models)) or "none yet"
            raise ModelNotFound(f"This service does not serve such a model. Served: {served}.")
        return model

    def all(self) -> list[ServedModel]:
        return [self._models[name] for name in sorted(self._models)]


def check(model: LoadedModel) -> None:
    """One plain gray image through the network: raises what the network raises when it is beyond use."""
    run_gray(model, 1)


def run_gray(model: LoadedModel, size: int) -> None:
    """A batch of plain gray images through the network."""
    crop = model.manifest.preprocessing.crop
    run(model, [Item(np.full((crop, crop, 3), 127, dtype=np.uint8), 1)] * size)


def run(model: LoadedModel, items: Sequence[Item]) -> list[list[Candidate]]:
    """Answer a batch with one forward pass: for each item, its most probable classes, most probable first."""
    most = max(item.top_k for item in items)
    indices, probabilities = model.network.top_k(np.stack([item.pixels for item in items]), most)
    return [
        [Candidate(int(i), float(p)) for i, p in zip(row_i[: item.top_k], row_p[: item.top_k], strict=True)]
        for item, row_i, row_p in zip(items, indices, probabilities, strict=True)
    ]
