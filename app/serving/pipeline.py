"""The spine: an upload in, labels out. Images are read by processes beside the network."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from app.decoding.buffers import Buffer, Region
from app.decoding.pool import Decoders
from app.decoding.task import ImageRead
from app.errors import ServiceError
from app.image.decode import ImageInfo
from app.image.views import Wanted
from app.model.evaluation import CENTRE_OF_TEN, Heatmap, Method, is_close, plan_of
from app.model.labels import Label
from app.model.registry import Candidate, ServedModel
from app.serving.batcher import Answer
from app.serving.inference import Inference
from app.serving.metrics import Metrics
from app.serving.question import Question
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
    method: Method = "single"
    views: int = 1
    heatmap: Heatmap | None = None


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
        reading = await self._decoders.read(upload, Wanted((views,)))
        self._measure(reading.decode_s + reading.preprocess_s)
        answer = await self.inference.submit(model, Region(upload.pixels_start, views.shape[1:]), top_k)
        stages = self._stages(reading, answer)
        return Prediction(_ranked(model, answer.value), reading.image, answer.batch_size, stages)

    async def evaluate(self, upload: Buffer, model: ServedModel, top_k: int, question: Question) -> Prediction:
        """Look at an image as it is asked for. Raises a ``ServiceError``, ``EvaluationTooLarge`` among them."""
        evaluation = question.evaluation
        wanted = plan_of(evaluation, model).wanted
        reading = await self._decoders.read(upload, wanted, question.most_pixels)
        regions = reading.regions
        if question.auto:
            centre = regions[0].one(CENTRE_OF_TEN)
            two_at_least = min(max(2, top_k), len(model.labels))
            glance = await self.inference.submit(model, centre.alone(), two_at_least)
            if not (is_close(glance.value) and self._can_go_on(plan_of(evaluation, model).work, question)):
                if not evaluation.heatmap:
                    found = _ranked(model, glance.value[:top_k])
                    return Prediction(found, reading.image, glance.batch_size, self._stages(reading, glance))
                evaluation, regions = replace(evaluation, method="single"), [centre, *regions[1:]]
        answer = await self.inference.evaluate(model, evaluation, regions, top_k)
        candidates, heatmap = answer.value
        stages, views = self._stages(reading, answer), plan_of(evaluation, model).views
        ranked = _ranked(model, candidates)
        return Prediction(ranked, reading.image, answer.batch_size, stages, evaluation.method, views, heatmap)

    def _can_go_on(self, work: int, question: Question) -> bool:
        """Whether so much more will be done in time, as far as is known, and has its place."""
        rate = self.inference.rate
        if not rate or time.perf_counter() + (self.inference.depth + work) / rate > question.until:
            return False
        return question.take_more(work)

    def _stages(self, reading: ImageRead, answer: Answer[Any]) -> Stages:
        stages = Stages(reading.decode_s, reading.preprocess_s, answer.queue_s, answer.run_s)
        self._metrics.image_answered(stages._asdict())
        return stages

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


def _ranked(model: ServedModel, candidates: Sequence[Candidate]) -> list[Ranked]:
    return [Ranked(model.labels[index], probability) for index, probability in candidates]
