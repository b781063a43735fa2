"""What is known of a request: from its headers on, and once it is answered. Neither ever holds file names or pixels."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import Scope

from app.http.language import Language, preferred
from app.serving.pipeline import Stages

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Known as soon as the headers are there."""

    request_id: str
    headers: Mapping[str, str]
    began: float = field(default_factory=time.perf_counter)

    @property
    def language(self) -> Language:
        """What its errors are written in."""
        return preferred(self.headers.get("accept-language", ""))

    def seconds(self) -> float:
        """Since the headers came."""
        return time.perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request, for its log line, the metrics and ``Server-Timing``.

    ``code`` is ``ok`` or the contract's error code. Of several images the largest batch counts, and of each stage the
    longest.
    """

    code: str = "ok"
    model: str | None = None
    batch_size: int | None = None
    stages: Stages | None = None


def begin(scope: Scope) -> RequestContext:
    """A context for a new request, under the caller's ``X-Request-ID`` if that is a sane one."""
    # Decoded once for everybody who asks; of a header that was sent twice the first counts, as in starlette.
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    given = headers.get("x-request-id", "")
    context = RequestContext(given if ACCEPTED_ID.fullmatch(given) else os.urandom(16).hex(), headers)
    scope.setdefault("state", {}).update(context=context, outcome=Outcome())
    return context


def context_of(scope: Scope) -> RequestContext:
    context: RequestContext = scope["state"]["context"]
    return context


def outcome_of(scope: Scope) -> Outcome:
    outcome: Outcome = scope["state"]["outcome"]
    return outcome


def note(scope: Scope, outcome: Outcome) -> None:
    """Say what came of a request, as far as it is known by now."""
    scope["state"]["outcome"] = outcome


def timing_ms(stages: Stages | None, total_s: float) -> dict[str, float]:
    """Milliseconds by stage, as far as they were reached, and in all."""
    seconds = (stages._asdict() if stages else {}) | {"total": total_s}
    return {name: milliseconds(value) for name, value in seconds.items()}


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
