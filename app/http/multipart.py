"""``multipart/form-data`` parsed as it streams, in memory: a container's disk is read-only."""

import logging
import re

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import MalformedRequest
from app.http.files import Files

MAX_PARTS = 64
# How nearly everybody writes these two; reading them in general takes as long as reading the form.
PLAIN_TYPE = re.compile(r"multipart/form-data; ?boundary=([0-9A-Za-z_-]{1,70})")
PLAIN_FILE = re.compile(rb'form-data; name="([0-9A-Za-z_-]+)"; filename="[^"\\]*"')
# The parser warns about every broken form; the request's own log line says so, without what was in the upload.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class Form:
    """Hands on the files that are sent in one field, and passes over everything else.

    What is written must be limited in size already. Everything raises ``MalformedRequest`` for a form that is broken,
    unfinished, or has too many files or parts, and what ``Files`` raises.
    """

    def __init__(self, content_type: str, field: str, max_files: int, files: Files) -> None:
        self._files = files
        self._field = field.encode()
        self._max_files = max_files
        self._file_parts = self._parts = 0
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._in_file = self._ended = False
        try:
            self._parser = MultipartParser(
                _boundary(content_type),
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise MalformedRequest("The multipart body is broken.") from error

    def write(self, chunk: bytes) -> None:
        """The next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedRequest("The multipart body is broken.") from error

    def end(self) -> None:
        """There are no more."""
        if not self._ended:
            raise MalformedRequest("The multipart body ends before its last boundary.")

    # What python-multipart finds; the files' own bytes are handed on where they lie

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedRequest(f"The form has more than {MAX_PARTS} parts.")
        self._disposition = b""
        self._in_file = False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        name, is_file = _name(self._disposition)
        if name == self._field and is_file:
            self._file_parts += 1
            if self._file_parts > self._max_files:
                raise MalformedRequest(self._too_many())
            self._in_file = True
            self._files.begin()

    def _too_many(self) -> str:
        if self._max_files == 1:
            return "The form has more than one file; POST /predict/batch takes several."
        return f"The form has more than {self._max_files} files."

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._files.append(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        if self._in_file:
            self._files.end()

    def _on_end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    plain = PLAIN_TYPE.fullmatch(content_type)
    if plain:
        return plain[1].encode()
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedRequest("The multipart content type has no boundary.")
    return boundary


def _name(disposition: bytes) -> tuple[bytes, bool]:
    """A part's field, and whether it is a file."""
    plain = PLAIN_FILE.fullmatch(disposition)
    if plain:
        return plain[1], True
    _, options = parse_options_header(disposition)
    if b"name" not in options:
        raise MalformedRequest("A part of the form has no name.")
    return options[b"name"], b"filename" in options or b"filename*" in options
