"""``multipart/form-data`` parsed as it streams, in memory: a container's disk is read-only."""

import logging
from collections.abc import AsyncIterable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedRequest

MAX_PARTS = 64
# The parser warns about every broken form; the request's own log line says so, without what was in the upload.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class FilesOfField:
    """Callbacks of python-multipart: keeps the files sent in one field and passes over everything else."""

    def __init__(self, field: str, max_files: int) -> None:
        self.files: list[bytes] = []
        self.ended = False
        self._field = field.encode()
        self._max_files = max_files
        self._parts = 0
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._chunks: list[bytes] | None = None

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedRequest(f"The form has more than {MAX_PARTS} parts.")
        self._disposition = b""
        self._chunks = None

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise MalformedRequest("A part of the form has no name.")
        if options[b"name"] == self._field and (b"filename" in options or b"filename*" in options):
            if len(self.files) == self._max_files:
                raise MalformedRequest(self._too_many())
            self._chunks = []

    def _too_many(self) -> str:
        if self._max_files == 1:
            return "The form has more than one file; POST /predict/batch takes several."
        return f"The form has more than {self._max_files} files."

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._chunks is not None:
            self._chunks.append(data[start:end])

    def on_part_end(self) -> None:
        if self._chunks is not None:
            self.files.append(b"".join(self._chunks))

    def on_end(self) -> None:
        self.ended = True


async def read_files(content_type: str, stream: AsyncIterable[bytes], field: str, max_files: int) -> list[bytes]:
    """The files in ``field``, in order; none if there is no such field.

    The stream must be limited in size already. Raises ``MalformedRequest`` for a form that is broken, unfinished, or
    has too many files or parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedRequest("The multipart content type has no boundary.")
    collected = FilesOfField(field, max_files)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collected.on_part_begin,
                "on_header_field": collected.on_header_field,
                "on_header_value": collected.on_header_value,
                "on_header_end": collected.on_header_end,
                "on_headers_finished": collected.on_headers_finished,
                "on_part_data": collected.on_part_data,
                "on_part_end": collected.on_part_end,
                "on_end": collected.on_end,
            },
        )
        async for chunk in stream:
            parser.write(chunk)
    except FormParserError as error:
        raise MalformedRequest("The multipart body is broken.") from error
    if not collected.ended:
        raise MalformedRequest("The multipart body ends before its last boundary.")
    return collected.files
