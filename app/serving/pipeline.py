"""The spine: bytes in, labels out. Decode and preprocess run in a pool of threads beside the network's one."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from app.errors import InternalError, InvalidParameter, ServiceError
from app.image.decode import decode
from app.image.preprocess import preprocess
from app.model.labels import Label
from app.model.registry import Candidate, Item, Pixels, Registry, ServedModel
from app.serving.batcher import Answer, Batcher
from app.serving.metrics import Metrics
from app.serving.workers import Workers

logger = logging.getLogger(__name__)

DEFAULT_TOP_K = 5
SMOOTHING = 0.05  # weight of the newest image in the average time to decode and preprocess one
T = TypeVar("T")


class Picture(NamedTuple):
    """What is known of an upload once it is decoded; sizes in pixels, after EXIF rotation."""

    format: str
    width: int
    height: int


class Ranked(NamedTuple):
    label: Label
    probability: float


@dataclass(slots=True)
class Timing:
    """Seconds each stage took, filled in as a request goes along."""

    began: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    def total(self) -> float:
        return time.perf_counter() - self.began

    def milliseconds(self) -> dict[str, float]:
        return {name: round(seconds * 1000, 3) for name, seconds in (self.stages | {"total": self.total()}).items()}


class Prediction(NamedTuple):
    """The answer to one image: its most probable classes, most probable first."""

    model: ServedModel
    ranked: list[Ranked]
    picture: Picture
    batch_size: int


class Pipeline:
    """decode -> preprocess -> batcher -> labels, for one image at a time and many at once."""

    def __init__(
        self,
        registry: Registry,
        batcher: Batcher[ServedModel, Item, list[Candidate]],
        metrics: Metrics,
        *,
        decode_workers: int,
        max_pixels: int,
        fast: bool,
    ) -> None:
        self.registry = registry
        self._batcher = batcher
        self._metrics = metrics
        self._max_pixels = max_pixels
        self._fast = fast
        self._decode_workers = decode_workers
        self._prepare_s: float | None = None
        self._decoders = Workers(decode_workers, "decode")

    @property
    def rate(self) -> float | None:
        """Images per second that the slower of decoding and network has been seen to manage; ``None`` before that."""
        decoding = self._decode_workers / self._prepare_s if self._prepare_s else None
        network = self._batcher.rate
        return min(decoding, network) if decoding and network else decoding or network

    @property
    def forward_s(self) -> float:
        """How long the forward pass under way has taken so far."""
        return self._batcher.running_s

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._batcher.start()

    async def predict(self, data: bytes, model: ServedModel, top_k: int, timing: Timing) -> Prediction:
        """Classify one image. Raises a ``ServiceError`` that says what was wrong with it."""
        picture, pixels = await self._decoders.run(self._prepare, data, model, timing.stages)
        seconds = timing.stages["decode"] + timing.stages["preprocess"]
        average = self._prepare_s if self._prepare_s is not None else seconds
        self._prepare_s = average + SMOOTHING * (seconds - average)
        answer = await self._forward(model, Item(pixels, top_k))
        timing.stages |= {"queue": answer.queue_s, "inference": answer.run_s}
        for stage, seconds in timing.stages.items():
            self._metrics.stages[stage].observe(seconds)
        ranked = [Ranked(model.labels[index], probability) for index, probability in answer.value]
        return Prediction(model, ranked, picture, answer.batch_size)

    async def _forward(self, model: ServedModel, item: Item) -> Answer[list[Candidate]]:
        try:
            return await self._batcher.submit(model, item)
        except ServiceError:
            raise
        except Exception as error:
            logger.exception("The network failed on an image.")
            raise InternalError("The network failed on this image.") from error

    def _prepare(self, data: bytes, model: ServedModel, stages: dict[str, float]) -> tuple[Picture, Pixels]:
        """Runs in the pool; Pillow lets go of the GIL while it decodes and resizes."""
        preprocessing = model.manifest.preprocessing
        if not self._fast:
            exact = _timed(stages, "decode", lambda: decode(data, self._max_pixels))
            pixels = _timed(stages, "preprocess", lambda: preprocess(exact.image, preprocessing))
            return Picture(exact.format, exact.width, exact.height), pixels
        # Imports torch, which the network has imported by now; at the top it would hold up /livez for seconds.
        from app.image.fast import decode_fast, preprocess_fast  # noqa: PLC0415

        fast = _timed(stages, "decode", lambda: decode_fast(data, self._max_pixels, preprocessing.resize))
        pixels = _timed(stages, "preprocess", lambda: preprocess_fast(fast.image, preprocessing))
        return Picture(fast.format, fast.width, fast.height), pixels

    def abandon(self) -> None:
        """Answer everybody now, with an error: the network does not come back."""
        self._batcher.abandon()

    async def close(self) -> None:
        """Finish what is queued, then stop the threads."""
        await self._batcher.drain()
        self._decoders.close()


def choose_top_k(requested: int | None, model: ServedModel) -> int:
    """How many classes to answer with. Raises ``InvalidParameter`` for more than there are."""
    classes = len(model.labels)
    if requested is None:
        return min(DEFAULT_TOP_K, classes)
    if not 1 <= requested <= classes:
        raise InvalidParameter(f"top_k must be between 1 and {classes}, the classes of {model.name}.")
    return requested


def _timed(stages: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = work()
    stages[stage] = time.perf_counter() - began
    return result
