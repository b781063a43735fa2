"""The spine: an upload in, labels out. Images are read by processes beside the network's thread."""

import logging
from typing import NamedTuple

from app.decoding.buffers import Buffer
from app.decoding.pool import Decoders
from app.errors import InternalError, ServiceError
from app.image.decode import ImageInfo
from app.image.reader import Reading
from app.model.labels import Label
from app.model.registry import Candidate, Item, Registry, ServedModel
from app.serving.batcher import Answer, Batcher
from app.serving.metrics import Metrics

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
    """decoders -> batcher -> labels, for one image at a time and many at once."""

    def __init__(
        self,
        registry: Registry,
        batcher: Batcher[ServedModel, Item, list[Candidate]],
        metrics: Metrics,
        decoders: Decoders,
    ) -> None:
        self.registry = registry
        self._batcher = batcher
        self._metrics = metrics
        self._decoders = decoders
        self._read_s: float | None = None

    @property
    def rate(self) -> float | None:
        """Images per second that the slower of decoding and network has been seen to manage; ``None`` before that."""
        decoding = self._decoders.count / self._read_s if self._read_s else None
        network = self._batcher.rate
        return min(decoding, network) if decoding and network else decoding or network

    @property
    def forward_s(self) -> float:
        """How long the forward pass under way has taken so far."""
        return self._batcher.running_s

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._decoders.start()
        self._batcher.start()

    async def ready(self) -> None:
        """Until images can be read."""
        await self._decoders.ready()

    async def predict(self, upload: Buffer, model: ServedModel, top_k: int) -> Prediction:
        """Classify one image. Raises a ``ServiceError`` that says what was wrong with it.

        The batch reads the pixels where they lie. Who leaves while it runs may take the memory away under it: that
        changes the answer to nobody but to the one who has left.
        """
        reading = await self._read(upload, model)
        answer = await self._forward(model, Item(reading.pixels[0], top_k))
        stages = Stages(reading.decode_s, reading.preprocess_s, answer.queue_s, answer.run_s)
        self._metrics.image_answered(stages._asdict())
        ranked = [Ranked(model.labels[index], probability) for index, probability in answer.value]
        return Prediction(ranked, reading.image, answer.batch_size, stages)

    async def _read(self, upload: Buffer, model: ServedModel) -> Reading:
        reading = await self._decoders.read(upload, model.manifest.preprocessing.centre_crop())
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
        """Answer everybody now, with an error: nothing is waited for."""
        self._decoders.abandon(error)
        self._batcher.abandon(error)

    async def close(self) -> None:
        """Finish what is queued, then end the decoders and the thread."""
        await self._batcher.drain()
        await self._decoders.close()
