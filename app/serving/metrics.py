"""The service's Prometheus metrics, in a registry of their own: one per service, so that tests can have several."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

# Seconds. Fine where the stages live (0.2 ms to 100 ms), coarse up to the request's deadline.
SECONDS = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30),
)
BATCH_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


class Metrics:
    """Also the batcher's observer, which hears of every batch."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, processor time, open files, when it started

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
        self.age = Gauge("queue_oldest_age_seconds", "Age of the oldest waiting image.", registry=registry)
        self.depth = Gauge("queue_depth", "Images waiting for a batch.", registry=registry)
        self.in_flight = Gauge("requests_in_flight", "Requests between headers and answer.", registry=registry)
        self.buffered = Gauge(
            "upload_buffer_bytes", "Bytes that uploads in flight hold or are charged for.", registry=registry
        )
        self.model_loads = Counter(
            "model_loads", "Models taken in, by the contract's code.", ("code",), registry=registry
        )
        self.connections = Gauge("connections", "Open connections.", registry=registry)
        self.connections_closed = Counter(
            "connections_closed", "Connections closed because there were too many: idle ones, or newcomers refused.",
            ("reason",), registry=registry,
        )  # fmt: skip
        self.ready = Gauge("ready", "1 when the service is ready for traffic.", registry=registry)

    def watch(
        self,
        in_flight: Callable[[], float],
        buffered_bytes: Callable[[], float],
        depth: Callable[[], float],
        oldest_s: Callable[[], float],
        ready: Callable[[], float],
    ) -> None:
        """Read these when scraped, instead of at every change."""
        self.in_flight.set_function(in_flight)
        self.buffered.set_function(buffered_bytes)
        self.depth.set_function(depth)
        self.age.set_function(oldest_s)
        self.ready.set_function(ready)

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
