"""The models being served, by name, and the one function that runs a batch. No torch in here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelNotFound
from app.image.views import Pixels
from app.model.labels import Label
from app.model.manifest import Manifest


class ScoreMaps(NamedTuple):
    """What a network says of each place of whole photographs.

    ``scores`` is float32 of shape (N, rows, columns, classes): logits, divided by the model's temperature. The places
    divide ``box`` evenly: its left, upper, right and lower edge as fractions of the photograph's width and height.
    """

    scores: NDArray[np.float32]
    box: tuple[float, float, float, float]


class Network(Protocol):
    """What answers: weights on a device, or anything that stands behind the same interface."""

    def top_k(self, pixels: Pixels, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k most probable classes of each image.

        ``pixels`` is uint8 of shape (N, height, width, 3), RGB. Returns class indices and probabilities, both of shape
        (N, k), most probable first.
        """
        ...

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Of every class, for each image: (N, classes)."""
        ...


class LookingNetwork(Network, Protocol):
    """One that answers for each place of a whole photograph, too: of a model that says that it has ``heatmap``."""

    def score_maps(self, pixels: Pixels) -> ScoreMaps:
        """Of photographs of one size, whatever that is: uint8 of shape (N, height, width, 3)."""
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
    engine: str = "eager"
    fallback: bool = False
    served_since: datetime = field(default_factory=partial(datetime.now, UTC))
    dense: bool = False
    """It can be evaluated over a whole photograph: its classifier becomes a convolution."""
    heatmap: bool = False
    """It can tell how much each place speaks for a class."""

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


class View(NamedTuple):
    """One of several views of an image, uint8 (height, width, 3): all classes are asked for."""

    pixels: Pixels


class WholeSize(NamedTuple):
    """What whole photographs have in common that share a batch."""

    model: "LoadedModel"
    height: int
    width: int


class Seen(NamedTuple):
    """The answer to one of several views: the probability of every class (classes,), and of a whole photograph also
    its score map, of shape (1, rows, columns, classes)."""

    probabilities: NDArray[np.float32]
    maps: ScoreMaps | None = None


Key = LoadedModel | WholeSize
"""What shares a forward pass: squares of the model's size, or whole photographs of one size."""


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


def model_of(key: Key) -> LoadedModel:
    return key if isinstance(key, LoadedModel) else key.model


def max_batch_size(key: Key) -> int:
    """How many may share a forward: of larger pictures fewer, so that the device's memory holds them."""
    if isinstance(key, LoadedModel):
        return key.max_batch_size
    return max(1, key.model.max_batch_size * key.model.manifest.preprocessing.crop**2 // (key.height * key.width))


def check(key: Key) -> None:
    """One plain gray image through the network: raises what the network raises when it is beyond use."""
    run_gray(model_of(key), 1)


def run_gray(model: LoadedModel, size: int) -> None:
    """A batch of plain gray images through the network."""
    crop = model.manifest.preprocessing.crop
    run(model, [Item(np.full((crop, crop, 3), 127, dtype=np.uint8), 1)] * size)


def run(key: Key, items: Sequence[Item | View]) -> list[list[Candidate] | Seen]:
    """Answer a batch with one forward pass: for each item, its most probable classes, most probable first; for each
    view, what it shows."""
    pixels = np.stack([item.pixels for item in items])
    if isinstance(key, WholeSize):
        return [*_look(cast(LookingNetwork, key.model.network).score_maps(pixels))]
    most = max((item.top_k for item in items if isinstance(item, Item)), default=0)
    if any(isinstance(item, View) for item in items):
        probabilities = key.network.probabilities(pixels)
        return [
            candidates(row, item.top_k) if isinstance(item, Item) else Seen(row)
            for item, row in zip(items, probabilities, strict=True)
        ]
    indices, best = key.network.top_k(pixels, most)
    return [
        [Candidate(int(i), float(p)) for i, p in zip(row_i[: item.top_k], row_p[: item.top_k], strict=True)]
        for item, row_i, row_p in zip(items, indices, best, strict=True)
        if isinstance(item, Item)  # as all of them are
    ]


def candidates(probabilities: NDArray[np.float32], k: int) -> list[Candidate]:
    """The k most probable classes, most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:k]
    return [Candidate(int(index), float(probabilities[index])) for index in order]


def _look(maps: ScoreMaps) -> Iterator[Seen]:
    """The scores are averaged over all places and become probabilities then, as the paper words it."""
    means = maps.scores.mean(axis=(1, 2), dtype=np.float64)
    powers = np.exp(means - means.max(axis=1, keepdims=True))
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    for scores, row in zip(maps.scores, probabilities, strict=True):
        yield Seen(row, ScoreMaps(scores[None], maps.box))
