"""The service's Prometheus metrics, in a registry of their own: one per service, so that tests can have several."""

import os
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

# Seconds. Fine where the stages live (0.2 ms to 100 ms), coarse up to the request's deadline.
SECONDS = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30),
)
BATCH_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


class Metrics:
    """What one process counts; also the batcher's observer, which hears of every batch.

    Other processes of the service keep theirs in the same ``folder``, under other names: there they last longer than
    the process, and ``exposition`` has the sums. Only one ``Metrics`` of a process may share a folder.
    """

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        registry = CollectorRegistry()
        self.registry = CollectorRegistry()
        """What is scraped."""
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where the library looks
            values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
        self.registry.register(registry if folder is None else MultiProcessCollector(None, str(folder)))  # type: ignore[no-untyped-call]

        def histogram(name: str, text: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
            return Histogram(name, text, registry=registry, buckets=buckets)

        self.requests = Counter(
            "requests", "Answered requests, by route and by the contract's code.", ("route", "code"), registry=registry
        )
        for code in ("ok", "queue_full", "deadline_exceeded", "internal"):
            self.requests.labels("/predict", code)  # from zero on: a rate does not see the step from nothing to one
        self.cancelled = Counter(
            "requests_cancelled", "Requests abandoned before they were answered.", ("reason",), registry=registry
        )
        self.request = histogram("request_duration_seconds", "From a request's headers to its answer.")
        self.stages = {
            "decode": histogram("decode_duration_seconds", "Bytes to an upright sRGB picture."),
            "preprocess": histogram("preprocess_duration_seconds", "Resize and crop."),
            "queue": histogram("queue_duration_seconds", "Waiting for a batch."),
            "inference": histogram("inference_duration_seconds", "The batch's forward pass."),
        }
        self.batch = histogram("batch_size", "Images per forward pass.", BATCH_SIZES)
        self.released = Counter(
            "batch_release",
            "Why a batch was released: idle network, full, window closed.",
            ("reason",),
            registry=registry,
        )
        self.shrunk = Counter(
            "batch_shrinks", "Batches halved because the device's memory was full.", registry=registry
        )
        self.decoders_ended = Counter(
            "decoders_ended", "Decoder processes that ended before their time.", ("reason",), registry=registry
        )
        for reason in ("abandoned", "put_off", "cost", "crash", "killed"):
            self.decoders_ended.labels(reason)
        self.model_loads = Counter(
            "model_loads", "Models taken in, by the contract's code.", ("code",), registry=registry
        )
        self.connections_closed = Counter(
            "connections_closed", "Connections closed because there were too many: idle ones, or newcomers refused.",
            ("reason",), registry=registry,
        )  # fmt: skip

    def image_answered(self, stages: Mapping[str, float]) -> None:
        """Seconds that one image spent in each stage, by the stage's name."""
        for stage, seconds in stages.items():
            self.stages[stage].observe(seconds)

    def batch_released(self, reason: str, size: int) -> None:
        self.released.labels(reason).inc()
        self.batch.observe(size)

    def decoder_ended(self, reason: str) -> None:
        self.decoders_ended.labels(reason).inc()

    def batch_shrunk(self, _size: int, /) -> None:
        self.shrunk.inc()

    def exposition(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self.registry)
