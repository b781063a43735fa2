"""Around every request: an id, a log line, metrics, the last resort for defects, the rest of a refused upload."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError
from app.http.context import begin, context_of, note, outcome_of, timing_ms
from app.http.problems import problem_response
from app.serving.lifecycle import Lifecycle, State
from app.serving.metrics import Metrics

logger = logging.getLogger("app.requests")

DISCARD_S = 2.0
DISCARD_UPLOADS = 4
FIRST_ERROR_STATUS = 400
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics", "/page/{name}"})


class RequestBody:
    """Counts a body as it is read, and reads away what a refused request still has in store.

    A client that is still sending sees a reset connection instead of its answer when nobody reads on.
    """

    def __init__(self, headers: Mapping[str, str], receive: Receive) -> None:
        self._receive = receive
        self._waits_for_permission = headers.get("expect", "").lower() == "100-continue"
        self._begun = False
        self.received_bytes = 0
        self.ended = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"

    async def receive(self) -> Message:
        self._begun = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        else:
            self.ended = True
        return message

    async def discard(self, max_bytes: int, timeout_s: float) -> None:
        """Read on until the end, within bounds. A client that asked for permission to send has sent nothing."""
        if self._waits_for_permission and not self._begun:
            return
        limit = self.received_bytes + max_bytes
        try:
            async with asyncio.timeout(timeout_s):
                while not self.ended and self.received_bytes < limit:
                    await self.receive()
        except TimeoutError:
            logger.debug("A refused upload did not end within %g s.", timeout_s)


class RequestMiddleware:
    """Pure ASGI, outermost of the application's own."""

    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle, max_upload_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._discard_bytes = DISCARD_UPLOADS * max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = begin(scope)
        body = RequestBody(context.headers, receive)
        status = 0

        async def send_answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= FIRST_ERROR_STATUS and not body.ended:
                    await body.discard(self._discard_bytes, DISCARD_S)
                # While leaving, every answer ends its connection: nobody sends a request into one that is being closed.
                close = not body.ended or self._lifecycle.state in (State.LEAVING, State.DRAINING)
                _add_headers(message, scope, close=close)
            await send(message)

        try:
            await self._app(scope, body.receive, send_answer)
        except ClientDisconnect:
            note(scope, replace(outcome_of(scope), code="client_disconnected"))
            self._metrics.cancelled.labels("disconnect").inc()
        except Exception:
            logger.exception("Unhandled exception.", extra={"request_id": context.request_id})
            if status:
                raise
            error = InternalError("An internal error occurred; the log has it under this request id.")
            await problem_response(error, scope)(scope, body.receive, send_answer)
        finally:
            self._conclude(scope, status, body.received_bytes)

    def _conclude(self, scope: Scope, status: int, upload_bytes: int) -> None:
        """Write the access record: the one place that counts and logs a request."""
        outcome = outcome_of(scope)
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.requests.labels(route, outcome.code).inc()
        if route in QUIET_ROUTES:
            return
        seconds = context_of(scope).seconds()
        self._metrics.request.observe(seconds)
        if not logger.isEnabledFor(logging.INFO):
            return
        words = (scope["method"], route, status, outcome.code, seconds * 1000)
        record = {
            "request_id": context_of(scope).request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "code": outcome.code,
            "model": outcome.model,
            "batch_size": outcome.batch_size,
            "upload_bytes": upload_bytes,
            "timing_ms": timing_ms(outcome.stages, seconds),
            "at": time.time(),
        }
        logger.info("%s %s %d %s in %.1f ms", *words, extra=record)


def _add_headers(message: Message, scope: Scope, *, close: bool) -> None:
    context = context_of(scope)
    timing = timing_ms(outcome_of(scope).stages, context.seconds())
    message["headers"] += [
        (b"x-request-id", context.request_id.encode()),
        (b"server-timing", ", ".join(f"{name};dur={ms}" for name, ms in timing.items()).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if close:
        message["headers"].append((b"connection", b"close"))
