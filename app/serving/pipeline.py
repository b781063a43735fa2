"""The spine: bytes in, labels out. Images are read in a pool of threads beside the network's one."""

import logging
from typing import NamedTuple

from app.errors import InternalError, ServiceError
from app.image.decode import ImageInfo
from app.image.reader import Reader, Reading
from app.model.labels import Label
from app.model.registry import Candidate, Item, Registry, ServedModel
from app.serving.batcher import Answer, Batcher
from app.serving.metrics import Metrics
from app.serving.workers import Workers

logger = logging.getLogger(__name__)

SMOOTHING = 0.05  # weight of the newest image in the average time to read one


class Ranked(NamedTuple):
    label: Label
    probability: float


class Stages(NamedTuple):
    """Seconds that one image spent in each stage."""

    decode: float
    preprocess: float
    queue: float
    inference: float


class Prediction(NamedTuple):
    """The answer to one image: its most probable classes, most probable first, and how it came about."""

    ranked: list[Ranked]
    image: ImageInfo
    batch_size: int
    stages: Stages


class Pipeline:
    """reader -> batcher -> labels, for one image at a time and many at once."""

    def __init__(
        self,
        registry: Registry,
        batcher: Batcher[ServedModel, Item, list[Candidate]],
        metrics: Metrics,
        reader: Reader,
        *,
        decode_workers: int,
    ) -> None:
        self.registry = registry
        self._batcher = batcher
        self._metrics = metrics
        self._reader = reader
        self._decode_workers = decode_workers
        self._decoders = Workers(decode_workers, "decode")
        self._read_s: float | None = None

    @property
    def rate(self) -> float | None:
        """Images per second that the slower of decoding and network has been seen to manage; ``None`` before that."""
        decoding = self._decode_workers / self._read_s if self._read_s else None
        network = self._batcher.rate
        return min(decoding, network) if decoding and network else decoding or network

    @property
    def forward_s(self) -> float:
        """How long the forward pass under way has taken so far."""
        return self._batcher.running_s

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._batcher.start()

    async def predict(self, data: bytes, model: ServedModel, top_k: int) -> Prediction:
        """Classify one image. Raises a ``ServiceError`` that says what was wrong with it."""
        reading = await self._read(data, model)
        answer = await self._forward(model, Item(reading.pixels[0], top_k))
        stages = Stages(reading.decode_s, reading.preprocess_s, answer.queue_s, answer.run_s)
        self._metrics.image_answered(stages._asdict())
        ranked = [Ranked(model.labels[index], probability) for index, probability in answer.value]
        return Prediction(ranked, reading.image, answer.batch_size, stages)

    async def _read(self, data: bytes, model: ServedModel) -> Reading:
        reading = await self._decoders.run(self._reader.read, data, model.manifest.preprocessing.centre_crop())
        seconds = reading.decode_s + reading.preprocess_s
        average = self._read_s if self._read_s is not None else seconds
        self._read_s = average + SMOOTHING * (seconds - average)
        return reading

    async def _forward(self, model: ServedModel, item: Item) -> Answer[list[Candidate]]:
        try:
            return await self._batcher.submit(model, item)
        except ServiceError:
            raise
        except Exception as error:
            logger.exception("The network failed on an image.")
            raise InternalError("The network failed on this image.") from error

    def abandon(self, error: ServiceError) -> None:
        """Answer everybody now, with an error: the network is not waited for."""
        self._batcher.abandon(error)

    async def close(self) -> None:
        """Finish what is queued, then stop the threads."""
        await self._batcher.drain()
        self._decoders.close()
