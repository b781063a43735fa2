"""The running parts that handlers reach for, wired in ``main``."""

from dataclasses import dataclass

from starlette.requests import Request

from app.decoding.buffers import Buffers
from app.http.admission import Admission
from app.http.arrivals import Arrivals
from app.http.auth import KeyRing
from app.http.callers import Callers
from app.http.files import UploadLimits
from app.serving.lifecycle import Lifecycle
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline
from app.serving.tally import Row
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    pipeline: Pipeline
    admission: Admission
    buffers: Buffers
    arrivals: Arrivals
    callers: Callers
    keys: KeyRing
    one_file: UploadLimits
    many_files: UploadLimits
    row: Row
    replaces_another: bool = False
    """In the place of a process that has ended."""


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
