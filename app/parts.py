"""The running parts of a service's processes, wired to each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from app.decoding.buffers import KEPT_PLACES, MAX_PIXELS_BYTES, Block, Buffers
from app.decoding.pool import Decoders
from app.http.admission import Admission
from app.http.arrivals import Arrivals
from app.http.auth import KeyRing
from app.http.callers import Callers
from app.http.files import UploadLimits
from app.http.service import Service
from app.model.registry import Registry
from app.model.selection import Selection
from app.serving.gpu import watch_gpus
from app.serving.inference import Inference, LocalInference, network_batcher
from app.serving.levels import Levels, Processes, Replaced
from app.serving.lifecycle import Lifecycle, State
from app.serving.loader import Load, Loader
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline
from app.serving.tally import Field, LargeImages, Row, Tally
from app.serving.warming import warm_up
from app.settings import Settings

# Places for uploads cost address space alone: more than memory is charged for, but no more than a system has.
MOST_PLACES = 4096
MOST_ADDRESS_SPACE = 2**40


@dataclass(frozen=True, slots=True)
class Shared:
    """What all processes of a service see: made before there are any. Of ``fronts`` there is at least one."""

    settings: Settings
    fronts: int
    block: Block
    tally: Tally
    keys: KeyRing

    @classmethod
    def make(cls, settings: Settings) -> "Shared":
        """Raises ``StartError`` when keys cannot be read or the settings do not go together."""
        settings.check_fronts()
        settings.check_uploads()
        fronts = max(1, settings.fronts)
        keys = KeyRing(settings.read_api_keys(), settings.read_admin_keys())
        # A front that takes another one's part has other places: that one's decoders may still write to theirs.
        count = 2 * fronts * most_places(settings) if settings.fronts else most_places(settings)
        block = Block(count, settings.max_upload_bytes)
        return cls(settings, fronts, block, Tally(fronts + 1, keys.names), keys)

    def row(self, number: int) -> Row:
        return Row(self.tally, number)

    @property
    def network_row(self) -> int:
        """The last one."""
        return self.fronts

    def fronts_replaced(self) -> float:
        return sum(max(0, self.tally.get(Field.STARTS, number) - 1) for number in range(self.fronts))

    def network_replaced(self) -> float:
        return max(0, self.tally.get(Field.STARTS, self.network_row) - 1)

    def places(self, front: int, start: int) -> range:
        """Where a front's uploads lie; ``start`` counts those that have had its part."""
        each = most_places(self.settings)
        first = each * (2 * front + start % 2) if self.settings.fronts else 0
        return range(first, first + each)


def most_places(settings: Settings) -> int:
    """For one front: as many uploads as memory is charged for; at the least one request's."""
    place_bytes = settings.max_upload_bytes + MAX_PIXELS_BYTES
    spaces = 2 * settings.fronts or 1
    return max(min(MOST_PLACES, MOST_ADDRESS_SPACE // place_bytes) // spaces, settings.max_files)


class Front:
    """What takes requests: everything but the models. ``row`` is its own; ``start`` counts who has had its part."""

    def __init__(self, shared: Shared, row: Row, metrics: Metrics, start: int = 1) -> None:
        settings = shared.settings
        self._shared = shared
        self._row = row
        self._start = start
        self.metrics = metrics
        self.lifecycle = Lifecycle(lambda: bool(shared.tally.least(Field.READY)) if shared.settings.fronts else True)
        self._buffers = Buffers(
            shared.block,
            shared.places(row.number, start),
            kept=max(1, KEPT_PLACES // shared.fronts),
            on_held=lambda change: row.add(Field.CHARGED_BYTES, change),
        )
        self.decoders = Decoders(
            shared.block,
            count=-(-settings.decode_workers // shared.fronts),
            max_pixels=settings.max_pixels,
            exact=settings.decode == "exact",
            ledger=LargeImages(row),
            on_end=metrics.decoder_ended,
            on_failure=lambda reason: self.lifecycle.become(State.FAILED, reason),
        )

    def service(self, inference: Inference) -> Service:
        shared, settings = self._shared, self._shared.settings
        pipeline = Pipeline(inference, self.decoders, self.metrics, self._row)
        one_file = UploadLimits(settings.max_upload_bytes, 1, settings.upload_timeout_s)
        service = Service(
            settings=settings,
            lifecycle=self.lifecycle,
            metrics=self.metrics,
            pipeline=pipeline,
            admission=self._admission(pipeline),
            buffers=self._buffers,
            arrivals=self._arrivals(),
            callers=Callers(settings.proxies),
            one_file=one_file,
            many_files=replace(one_file, max_files=settings.max_files),
            keys=shared.keys,
            row=self._row,
            replaces_another=self._start > 1,
        )
        self._watch(service)
        return service

    def _admission(self, pipeline: Pipeline) -> Admission:
        settings = self._shared.settings
        return Admission(
            self.lifecycle,
            lambda: pipeline.rate,
            self._row,
            max_queue_size=settings.max_queue_size,
            max_queue_delay_s=settings.max_queue_delay_s,
            max_requests_per_key=settings.max_requests_per_key,
        )

    def _arrivals(self) -> Arrivals:
        settings = self._shared.settings
        return Arrivals(
            self._buffers,
            self._row,
            max_bytes=settings.max_buffer_bytes,
            share_bytes=settings.max_caller_bytes,
            on_push_out=self.metrics.cancelled.labels("pushed_out").inc,
        )

    def _watch(self, service: Service) -> None:
        tally, inference = self._shared.tally, service.pipeline.inference
        read = {
            "queue_oldest_age_seconds": lambda: inference.oldest_s,
            "queue_depth": lambda: inference.depth,
            "requests_in_flight": lambda: tally.total(Field.IN_FLIGHT),
            "upload_buffer_bytes": lambda: tally.total(Field.CHARGED_BYTES),
            "connections": lambda: tally.total(Field.CONNECTIONS),
            "ready": lambda: self.lifecycle.state is State.READY,
        }
        self.metrics.registry.register(Levels(read))
        self.metrics.registry.register(
            Replaced({"front": self._shared.fronts_replaced, "network": self._shared.network_replaced})
        )
        self.metrics.registry.register(Processes(tally.pids))
        watch_gpus(self.metrics.registry)


class ToServe(NamedTuple):
    """Which models, and what loads one."""

    selection: Selection
    load: Load


def local_inference(
    shared: Shared,
    to_serve: ToServe,
    lifecycle: Lifecycle,
    metrics: Metrics,
    others_ready: Callable[[], Awaitable[None]],
) -> LocalInference:
    """The models themselves."""
    selection, load = to_serve
    batcher = network_batcher(lifecycle, metrics, max_wait_s=shared.settings.max_wait_ms / 1000)
    loader = Loader(
        load,
        Registry(selection.default),
        selection,
        lifecycle,
        metrics,
        warm_up=partial(warm_up, batcher),
        others_ready=others_ready,
    )
    return LocalInference(loader, batcher, shared.block)
