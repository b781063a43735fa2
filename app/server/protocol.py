"""uvicorn's HTTP protocol with the edges that an open port needs: a bounded head, no trailers, no upgrades."""

import sys
import uuid

import httptools
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import MalformedRequest
from app.http.problems import MEDIA_TYPE, problem

MAX_HEAD_BYTES = 64 * 1024
# What pieces of a body may take before the application is woken for them; as much as is read from a socket at once.
MAX_PIECES_BYTES = 256 * 1024


class CarefulProtocol(HttpToolsProtocol):
    """Differs from its parent in five ways.

    A request's head may have 64 KiB: without a bound its cost grows faster than its length, for everybody. Headers
    after the body (trailers) are dropped, so that nothing can be smuggled past a proxy. An offer to upgrade (h2c, which
    Java's client makes with every first request) is declined and the request answered as it stands, body and all.
    What is not HTTP gets the contract's form of error. And a body wakes the application once it is whole, or takes 256
    KiB, instead of with each of its pieces.
    """

    _in_head = True
    _head_bytes = 0
    _pieces: list[bytes]
    _pieces_bytes = 0
    _raw_left = 0  # bytes still to come of the body of a request that offered an upgrade

    def data_received(self, data: bytes) -> None:
        if self._raw_left:
            self._take_raw(data)
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except (httptools.HttpParserError, ValueError, UnicodeDecodeError):
            self.send_400_response("The request is not valid HTTP/1.1.")
        else:
            self._bound_head(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._pieces, self._pieces_bytes = [], 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        if self.parser.should_upgrade() or self.cycle.response_complete:
            return
        self._pieces.append(body)
        self._pieces_bytes += sys.getsizeof(body)  # a chunk of one byte takes more than that
        if self._pieces_bytes > MAX_PIECES_BYTES:
            self.flow.pause_reading()
            self._hand_over()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._hand_over()
            super().on_message_complete()

    def _hand_over(self) -> None:
        self.cycle.body += b"".join(self._pieces)
        self._pieces, self._pieces_bytes = [], 0

    def send_400_response(self, msg: str) -> None:
        """The last answer on a connection whose bytes cannot be understood."""
        error = MalformedRequest(msg)
        body = to_json(problem(error, uuid.uuid4().hex))
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _bound_head(self, received: int) -> None:
        if self._in_head:
            self._head_bytes += received
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(f"The request's head is longer than {MAX_HEAD_BYTES // 1024} KiB.")

    def _decline_upgrade(self, rest: bytes) -> None:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        if any(name == b"transfer-encoding" for name, _ in self.headers):
            self.send_400_response("An upgrade cannot be offered together with a chunked body.")
            return
        self._raw_left = int(lengths[0]) if lengths else 0
        self.cycle.keep_alive = False  # the parser has stopped for good
        self._take_raw(rest)

    def _take_raw(self, data: bytes) -> None:
        body = data[: self._raw_left]
        self._raw_left -= len(body)
        if not self.cycle.response_complete:
            if body:
                self.cycle.body += body
            self.cycle.more_body = self._raw_left > 0
            self.cycle.message_event.set()
