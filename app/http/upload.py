"""Read uploads into memory: counted while they stream, never spooled to disk."""

import asyncio
from collections.abc import Callable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.errors import MissingFile, UnsupportedMediaType, UploadTimeout
from app.http.arrivals import Arrival
from app.http.files import File, Files, UploadLimits
from app.http.multipart import Form

FIELD = "file"
HOW_TO_SEND = (
    f"Send multipart/form-data with a field named {FIELD!r}, or the image's bytes as an image/* or "
    "application/octet-stream body."
)


async def read_uploads(
    headers: Mapping[str, str], receive: Receive, limits: UploadLimits, arrival: Arrival
) -> list[File]:
    """The uploaded images, in order, at least one; each lies in a buffer of the arrival's, or has its own problem.

    Raises ``MissingFile``, ``MalformedRequest``, ``UnsupportedMediaType`` (of the body, not of the image),
    ``PayloadTooLarge`` as soon as the body's size is reached, ``UploadTimeout``, and ``QueueFull`` or
    ``TooManyRequests`` when there is no room, or others have pushed this upload out.
    """
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = content_type == "multipart/form-data"
    if not is_form and content_type != "application/octet-stream" and not content_type.startswith("image/"):
        raise UnsupportedMediaType(
            f"This content type cannot carry an image. {HOW_TO_SEND}"
            if content_type
            else f"The request has no content type. {HOW_TO_SEND}"
        )
    files = Files(arrival, limits)
    form = Form(headers["content-type"], FIELD, limits.max_files, files) if is_form else None
    try:
        async with asyncio.timeout(limits.timeout_s) as timeout:
            arrival.interrupt_with(timeout)
            if form is not None:
                await _read(receive, limits, arrival, form.write)
                form.end()
            else:
                files.begin()
                await _read(receive, limits, arrival, files.append)
                files.end()
            arrival.arrived()
    except TimeoutError as error:
        if arrival.pushed_out:
            raise arrival.refusal() from None
        if timeout.expired():
            raise UploadTimeout(f"The body did not arrive within {limits.timeout_s:g} s.") from error
        raise
    if not files.found:
        raise MissingFile(f"The form has no file in a field named {FIELD!r}. {HOW_TO_SEND}")
    return files.found


async def _read(receive: Receive, limits: UploadLimits, arrival: Arrival, take: Callable[[bytes], object]) -> None:
    """Hand on the body's chunks, counted. Raises ``ClientDisconnect`` when the client leaves before the end."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        arrival.received_bytes += len(chunk)
        if arrival.received_bytes > limits.max_body_bytes:
            raise limits.too_large()
        take(chunk)
        more = message.get("more_body", False)
