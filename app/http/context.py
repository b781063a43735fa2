"""What is known of a request while it is being answered: its id, its timing, what the log line will say."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import Scope

from app.serving.pipeline import Timing

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class RequestContext:
    """``code`` is ``ok`` or the contract's error code. Never holds file names, keys or pixels."""

    request_id: str
    headers: Mapping[str, str]
    timing: Timing = field(default_factory=Timing)
    code: str = "ok"
    model: str | None = None
    batch_size: int | None = None
    upload_bytes: int | None = None


def begin(scope: Scope) -> RequestContext:
    """A context for a new request, under the caller's ``X-Request-ID`` if that is a sane one."""
    # Decoded once for everybody who asks; of a header that was sent twice the first counts, as in starlette.
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    given = headers.get("x-request-id", "")
    context = RequestContext(given if ACCEPTED_ID.fullmatch(given) else os.urandom(16).hex(), headers)
    scope.setdefault("state", {})["context"] = context
    return context


def context_of(scope: Scope) -> RequestContext:
    context: RequestContext = scope["state"]["context"]
    return context
