"""Read uploads into memory: counted while they stream, never spooled to disk."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.errors import MissingFile, PayloadTooLarge, UnsupportedMediaType, UploadTimeout
from app.http.multipart import read_files

FIELD = "file"
# Room for boundaries, part headers and a few small fields around the files themselves.
FRAMING_BYTES = 64 * 1024
HOW_TO_SEND = (
    f"Send multipart/form-data with a field named {FIELD!r}, or the image's bytes as an image/* or "
    "application/octet-stream body."
)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one request may send."""

    max_file_bytes: int
    max_files: int
    timeout_s: float

    @property
    def max_body_bytes(self) -> int:
        return self.max_files * self.max_file_bytes + FRAMING_BYTES

    def expected_bytes(self, headers: Mapping[str, str]) -> int:
        """What to reserve for a body before it is read: its announced length, or the most that is allowed.

        Raises ``PayloadTooLarge`` when more is announced than may be sent.
        """
        announced = headers.get("content-length", "")
        if not announced.isdigit():
            return self.max_body_bytes
        if int(announced) > self.max_body_bytes:
            raise self.too_large()
        return int(announced)

    def too_large(self) -> PayloadTooLarge:
        files = f", and a request at most {self.max_files} files" if self.max_files > 1 else ""
        return PayloadTooLarge(f"An image may have at most {self.max_file_bytes / 2**20:g} MiB{files}.")

    def check_file(self, data: bytes) -> None:
        """Raises ``MissingFile`` for an empty file and ``PayloadTooLarge`` for one over the limit."""
        if not data:
            raise MissingFile("The uploaded file is empty.")
        if len(data) > self.max_file_bytes:
            raise self.too_large()


async def read_uploads(headers: Mapping[str, str], receive: Receive, limits: UploadLimits) -> list[bytes]:
    """The bytes of the uploaded images, in order, at least one; each is still to be checked by ``check_file``.

    Raises ``MissingFile``, ``MalformedRequest``, ``UnsupportedMediaType`` (of the body, not of the image),
    ``PayloadTooLarge`` as soon as the body's size is reached, and ``UploadTimeout``.
    """
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = content_type == "multipart/form-data"
    if not is_form and content_type != "application/octet-stream" and not content_type.startswith("image/"):
        what = "This content type cannot carry an image" if content_type else "The request has no content type"
        raise UnsupportedMediaType(f"{what}. {HOW_TO_SEND}")
    try:
        async with asyncio.timeout(limits.timeout_s) as timeout:
            if is_form:
                files = await read_files(headers["content-type"], _limited(receive, limits), FIELD, limits.max_files)
            else:
                files = [b"".join([chunk async for chunk in _limited(receive, limits)])]
    except TimeoutError as error:
        if timeout.expired():
            raise UploadTimeout(f"The body did not arrive within {limits.timeout_s:g} s.") from error
        raise
    if not files:
        raise MissingFile(f"The form has no file in a field named {FIELD!r}. {HOW_TO_SEND}")
    return files


async def _limited(receive: Receive, limits: UploadLimits) -> AsyncGenerator[bytes, None]:
    """The body's chunks, counted. Raises ``ClientDisconnect`` when the client leaves before the end."""
    received, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limits.max_body_bytes:
            raise limits.too_large()
        yield chunk
        more = message.get("more_body", False)
