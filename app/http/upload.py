"""Read an upload into memory: counted while it streams, never spooled to disk."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from python_multipart.multipart import parse_options_header

from app.errors import MissingFile, PayloadTooLarge, UnsupportedMediaType, UploadTimeout
from app.http.multipart import read_files

FIELD = "file"
# Room for boundaries, part headers and a few small fields around the file itself.
FRAMING_BYTES = 64 * 1024
HOW_TO_SEND = (
    f"Send multipart/form-data with a field named {FIELD!r}, or the image's bytes as an image/* or "
    "application/octet-stream body."
)


async def read_upload(request: Request, max_bytes: int, timeout_s: float) -> bytes:
    """The bytes of the uploaded image.

    Raises ``MissingFile``, ``MalformedRequest``, ``UnsupportedMediaType`` (of the body, not of the image),
    ``PayloadTooLarge`` as soon as the size is known or reached, and ``UploadTimeout``.
    """
    content_type, _ = parse_options_header(request.headers.get("content-type"))
    try:
        async with asyncio.timeout(timeout_s) as timeout:
            if content_type == b"multipart/form-data":
                return await _read_multipart(request, max_bytes)
            if content_type == b"application/octet-stream" or content_type.startswith(b"image/"):
                return await _read_raw(request, max_bytes)
    except TimeoutError as error:
        if timeout.expired():
            raise UploadTimeout(f"The body did not arrive within {timeout_s:g} s.") from error
        raise
    raise UnsupportedMediaType(f"The request's content type is not one that carries an image. {HOW_TO_SEND}")


async def _read_raw(request: Request, max_bytes: int) -> bytes:
    data = b"".join([chunk async for chunk in _limited(request, max_bytes, max_bytes)])
    if not data:
        raise MissingFile(f"The body is empty. {HOW_TO_SEND}")
    return data


async def _read_multipart(request: Request, max_bytes: int) -> bytes:
    stream = _limited(request, max_bytes + FRAMING_BYTES, max_bytes)
    files = await read_files(request.headers["content-type"], stream, FIELD, max_files=1)
    if not files:
        raise MissingFile(f"There is no file in a field named {FIELD!r}. {HOW_TO_SEND}")
    (data,) = files
    if not data:
        raise MissingFile("The uploaded file is empty.")
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


async def _limited(request: Request, max_body_bytes: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body's chunks. Refuses at once a length that is announced too large, and counts the rest."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_body_bytes:
        raise _too_large(max_bytes)
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > max_body_bytes:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"An upload may have at most {max_bytes / 2**20:g} MiB.")
