"""The spine: an upload in, labels out. Images are read by processes beside the network."""

from typing import NamedTuple

from app.decoding.buffers import Buffer, Region
from app.decoding.pool import Decoders
from app.errors import ServiceError
from app.image.decode import ImageInfo
from app.model.labels import Label
from app.model.registry import ServedModel
from app.serving.inference import Inference
from app.serving.metrics import Metrics
from app.serving.tally import Field, Row

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
    """decoders -> network -> labels, for one image at a time and many at once."""

    def __init__(self, inference: Inference, decoders: Decoders, metrics: Metrics, row: Row) -> None:
        self.inference = inference
        self.registry = inference.registry
        self._decoders = decoders
        self._metrics = metrics
        self._row = row
        self._read_s: float | None = None

    @property
    def rate(self) -> float | None:
        """Images per second that the slower of decoding and network has been seen to manage; ``None`` before that."""
        decoding = self._row.tally.total(Field.DECODING_RATE)
        network = self.inference.rate
        return min(decoding, network) if decoding and network else decoding or network

    def start(self) -> None:
        """Begin to serve, on the running event loop."""
        self._decoders.start()
        self.inference.start()

    async def predict(self, upload: Buffer, model: ServedModel, top_k: int) -> Prediction:
        """Classify one image. Raises a ``ServiceError`` that says what was wrong with it."""
        views = model.manifest.preprocessing.centre_crop()
        reading = await self._decoders.read(upload, views)
        self._measure(reading.decode_s + reading.preprocess_s)
        answer = await self.inference.submit(model, Region(upload.pixels_start, views.shape[1:]), top_k)
        stages = Stages(reading.decode_s, reading.preprocess_s, answer.queue_s, answer.run_s)
        self._metrics.image_answered(stages._asdict())
        ranked = [Ranked(model.labels[index], probability) for index, probability in answer.value]
        return Prediction(ranked, reading.image, answer.batch_size, stages)

    def _measure(self, seconds: float) -> None:
        average = self._read_s if self._read_s is not None else seconds
        self._read_s = average + SMOOTHING * (seconds - average)
        self._row.set(Field.DECODING_RATE, self._decoders.count / self._read_s if self._read_s else 0)

    def abandon(self, error: ServiceError) -> None:
        """Answer everybody now, with an error: nothing is waited for."""
        self._decoders.abandon(error)
        self.inference.abandon(error)

    async def close(self) -> None:
        """Finish what is queued, then end the decoders."""
        await self.inference.close()
        await self._decoders.close()
