"""The running parts that handlers reach for, wired in ``main``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.http.admission import Admission
from app.http.auth import KeyRing
from app.http.upload import UploadLimits
from app.model.registry import ServedModel
from app.serving.lifecycle import Lifecycle
from app.serving.metrics import Metrics
from app.serving.pipeline import Pipeline
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    pipeline: Pipeline
    admission: Admission
    keys: KeyRing
    one_file: UploadLimits
    many_files: UploadLimits
    load: Callable[[str], Awaitable[ServedModel]]
    """Load a model by name and serve it. Raises ``ModelNotFound`` or ``NotReady``."""
