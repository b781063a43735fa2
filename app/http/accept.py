"""What every prediction request goes through before its images are looked at: key, place, model, deadline, upload."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.errors import InvalidParameter, QueueFull, TooManyRequests
from app.http.admission import Place
from app.http.context import Outcome, context_of, note
from app.http.deadline import HEADER, deadline, seconds_allowed, while_connected
from app.http.evaluation import check_views, work_of
from app.http.files import File, UploadLimits
from app.http.service import Service, service_of
from app.http.upload import read_uploads
from app.model.evaluation import CROPS, Crops
from app.model.manifest import Preprocessing
from app.model.registry import ServedModel
from app.model.wish import ASKED, Asked, Wish
from app.serving.question import Question

DEFAULT_TOP_K = 5
MAX_QUERY_BYTES = 1024
CHOICES = {"evaluation": ", ".join(ASKED), "crops": ", ".join(CROPS), "heatmap": "true, false"}
LEAST_TOP_K = 1


def read_key(headers: Mapping[str, str]) -> str | None:
    """The key of an ``X-API-Key`` header or a bearer token."""
    given = headers.get("x-api-key")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return given or (token.strip() if scheme.lower() == "bearer" else None)


@lru_cache(maxsize=64)
def read_query(query_string: bytes) -> "PredictQuery":
    """Raises ``InvalidParameter``. Clients ask the same again and again, most of them nothing."""
    if len(query_string) > MAX_QUERY_BYTES:  # before it is taken apart, which costs more than all the rest
        raise InvalidParameter(f"The query may have at most {MAX_QUERY_BYTES} bytes.")
    try:
        return PredictQuery.model_validate(dict(QueryParams(query_string)))
    except ValidationError as error:
        raise InvalidParameter(_in_words(error.errors()[0])) from error


def _in_words(fault: ErrorDetails) -> str:
    name = fault["loc"][-1]
    if fault["type"] == "extra_forbidden":
        return f"There is no parameter {str(name)[:40]!r}; there are {', '.join(PredictQuery.model_fields)}."
    if name in CHOICES:
        return f"{name} must be one of {CHOICES[str(name)]}."
    return f"{name} must be a whole number, at least {LEAST_TOP_K}."  # the model may be any string


class PredictQuery(BaseModel):
    """What a prediction request may ask for in its query string; anything else is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, description="A served model; default: the service's default model.")
    top_k: int | None = Field(
        None,
        ge=LEAST_TOP_K,
        description="How many classes to return; default: 5, or all of them if the model has fewer.",
    )
    evaluation: Asked = Field(
        "single",
        description="What the network is shown: the centre (`single`), crops (`multi_crop`), the whole photograph "
        "(`dense`), both (`dense_multi_crop`), or crops only where the centre leaves two classes close (`auto`).",
    )
    crops: Crops | None = Field(
        None, description="For crops: `10` (corners, centre, mirrored; the default) or `5x5` (a grid, mirrored)."
    )
    scales: str | None = Field(
        None,
        description="Lengths of the short side, such as `256,384,512`, over which is averaged; default: the model's.",
    )
    heatmap: bool = Field(
        default=False, description="Say for each answered class how much each place of the photograph speaks for it."
    )

    @property
    def wish(self) -> Wish:
        return Wish(self.evaluation, self.crops, self.scales, self.heatmap)


def choose_top_k(requested: int | None, model: ServedModel) -> int:
    """How many classes to answer with. Raises ``InvalidParameter`` for more than there are."""
    classes = len(model.labels)
    if requested is None:
        return min(DEFAULT_TOP_K, classes)
    if not 1 <= requested <= classes:
        raise InvalidParameter(f"top_k must be between 1 and {classes}, the classes of {model.name}.")
    return requested


def pixels_bytes(preprocessing: Preprocessing) -> int:
    """What a decoder makes of one image: uint8, three channels."""
    return 3 * preprocessing.crop**2


class Accepted(NamedTuple):
    """``files`` lie in buffers that are free when the request ends; whoever may read one later holds it.

    ``question`` is about each of them, unless their most probable classes at a glance are all that is asked for.
    """

    model: ServedModel
    top_k: int
    files: list[File]
    question: Question | None = None


@asynccontextmanager
async def accepted(request: Request, limits: UploadLimits) -> AsyncIterator[Accepted]:
    """Hold a place while a request is read and answered; what is inside is cancelled when nobody waits any more.

    Raises the ``ServiceError`` of whatever stands in the way, the cheapest to find out first.
    """
    service, headers = service_of(request), context_of(request.scope).headers
    key = service.keys.check(read_key(headers))
    query = read_query(request.scope["query_string"])
    seconds = seconds_allowed(headers.get(HEADER.lower()), service.settings.request_timeout_s)
    announced = limits.announced_bytes(headers)
    caller = key or service.callers.name(request.scope)
    with service.admission.admit(key) as place:
        model = service.pipeline.registry.get(query.model)
        note(request.scope, Outcome(model=model.name))
        top_k = choose_top_k(query.top_k, model)
        wish, settings = query.wish, service.settings
        work = None if wish.is_usual else work_of(wish, model, top_k, settings)
        pixels = work.most_bytes if work else pixels_bytes(model.manifest.preprocessing)
        with service.arrivals.begin(caller, announced, pixels) as arrival:
            async with deadline(seconds):
                until = time.perf_counter() + seconds
                files = await read_uploads(headers, request.receive, limits, arrival)
                question = None
                if work:
                    check_views(work, len(files), settings)
                    question = work.question(len(files), until, partial(_take_more, service, place))
                service.admission.arrive(place, len(files), work.units * len(files) if work else 0)
                async with while_connected(request.receive):
                    yield Accepted(model, top_k, files, question)


def _take_more(service: Service, place: Place, work: int) -> bool:
    """Whether there is room for so much more work."""
    try:
        service.admission.take_more(place, work)
    except (QueueFull, TooManyRequests):
        return False
    return True
