"""Where the parts of a request end in what comes over a connection, so that a parser can be given one part at a time.

RFC 9112: a head ends with an empty line (2.1); a body has the announced length (6.2) or comes in chunks, of which the
last one has length zero and is followed by trailers and an empty line (7.1). What the bytes mean is for the parser to
say: a cut in another place than the parser's is noticed, never believed.
"""

from enum import Enum, auto

LINE_END = b"\r\n"
HEAD_END = LINE_END + LINE_END
LAST_CHUNK = LINE_END + b"0"  # or one whose length begins with a zero
MAX_HEAD_BYTES = 64 * 1024
# Lengths of chunks and line ends around a chunk of one byte take five; some clients pad the lengths.
FRAMING_PER_BODY_BYTE = 16


class Malformed(Exception):
    """The bytes cannot be understood, or are too many; the message is for the client."""


class Part(Enum):
    """What comes next."""

    HEAD = auto()
    BODY = auto()
    CHUNKS = auto()


class Cutter:
    """Cuts one request after the other.

    ``cut`` says how many bytes belong to what comes next; the parser is given just these, and what it found in them is
    then told by ``head_ended`` and ``counted``.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another request begins."""
        self.part = Part.HEAD
        self.body_left = 0
        self._end_of_head = b""  # the last bytes of a head that came in several pieces
        self._framing_bytes = self._body_bytes = 0
        self._by_line = True

    def head_ended(self, length: int | None, *, chunked: bool) -> None:
        """The head was understood: what follows has a length, comes in chunks, or is not there."""
        self.part = Part.CHUNKS if chunked else Part.BODY
        self.body_left = length or 0
        self._framing_bytes = 0

    def cut(self, data: bytes, start: int) -> int:
        """Where the piece that begins at ``start`` ends in ``data``."""
        if self.part is Part.BODY:
            if not self.body_left:
                raise Malformed("The request is not valid HTTP/1.1.")  # the parser waits for more than was announced
            return min(len(data), start + self.body_left)
        if self.part is Part.CHUNKS:
            return self._cut_chunks(data, start)
        return self._cut_head(data, start)

    def counted(self, piece_bytes: int, body_bytes: int) -> None:
        """A piece was parsed, and so much of it was body. Raises ``Malformed`` when the rest is too much."""
        self._body_bytes += body_bytes
        self._framing_bytes += piece_bytes - body_bytes
        if self.part is Part.BODY:
            self.body_left -= piece_bytes
        if body_bytes:
            self._by_line = False
        if self._framing_bytes > MAX_HEAD_BYTES + FRAMING_PER_BODY_BYTE * self._body_bytes:
            part = "head" if self.part is Part.HEAD else "framing"
            raise Malformed(f"The request's {part} is longer than {MAX_HEAD_BYTES // 1024} KiB.")

    def _cut_head(self, data: bytes, start: int) -> int:
        seen = self._end_of_head + data[start : start + MAX_HEAD_BYTES + len(HEAD_END)]
        found = seen.find(HEAD_END)
        if found >= 0:
            end = start + found + len(HEAD_END) - len(self._end_of_head)
            self._end_of_head = b""
            return end
        self._end_of_head = seen[1 - len(HEAD_END) :]
        return min(len(data), start + MAX_HEAD_BYTES + len(HEAD_END))

    def _cut_chunks(self, data: bytes, start: int) -> int:
        """A line at a time where the last chunk may begin, which is where a line begins with a zero; else all there is.

        A line of body that looks like that costs a cut more, nothing else.
        """
        if start < len(LINE_END) or data.startswith(LAST_CHUNK, start - len(LINE_END)):
            self._by_line = True  # also where the line may have begun in what came before
        if self._by_line:
            return (data.find(b"\n", start) + 1) or len(data)
        last = data.find(LAST_CHUNK, start)
        return last + len(LINE_END) if last >= 0 else len(data)
