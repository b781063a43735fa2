"""uvicorn's HTTP protocol with the edges that an open port needs.

What comes over a connection is cut before it is parsed, so that the parser never reads past the end of a request that
is still being answered: one that waits its turn waits as unread bytes, on the other side of the connection where
possible, and not as work.
"""

import asyncio
import socket
import uuid
from http import HTTPStatus
from typing import Any

import httptools
from pydantic_core import to_json
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import MalformedRequest, QueueFull, ServiceError, UploadTimeout
from app.http.language import Language, preferred
from app.http.problems import MEDIA_TYPE, headers_of, problem, wording
from app.server.connections import Connections
from app.server.cutter import Cutter, Malformed, Part

# What pieces of a body may take, and how long, before the application is woken for them: it counts what uploads hold.
MAX_PIECES_BYTES = 128 * 1024
MAX_PIECES_S = 0.5
OBJECT_BYTES = 33  # what a piece takes beside its content: many clients send chunks of a few bytes
HEAD_S = 10.0
SEND_S = 30.0  # how long a client may take none of an answer
MAX_HEADERS = 256  # a header of four bytes costs a hundred times as much once it is parsed
NOT_HTTP = "The request is not valid HTTP/1.1."


class CarefulProtocol(HttpToolsProtocol):
    """Differs from its parent in seven ways.

    One request is in progress on a connection, and what follows it is neither parsed nor read. A head has ten seconds
    to arrive and may have 64 KiB, and so may everything else that is no body: trailers, which are dropped, so that
    nothing can be smuggled past a proxy, and what stands around chunks. Who does not read an answer loses the
    connection. An offer to upgrade (h2c, which Java's client makes with every first request) is declined and the
    request answered as it stands, body and all. There are only so many connections. What is not HTTP gets the
    contract's form of error. And a body wakes the application once it is whole, takes 128 KiB, or half a second has
    passed, instead of with each of its pieces.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        open_connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open_connections = open_connections
        self._cutter = Cutter()
        self._unread = b""
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._handed_over = 0.0  # when, on the loop's clock
        self._body_bytes = 0  # of the piece that is being parsed
        self._received = False  # the whole request that is in progress
        self._raw = False  # the parser has stopped at an offer to upgrade: what is left of the body goes around it
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _give_up_on_who_does_not_read(transport)
        if self._open_connections.admit(self):
            self._expect_head()
        else:
            self._end_with(QueueFull("The service has as many connections as it can hold.", {"Retry-After": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_connections.lost(self)
        self._head_has_come()
        self._is_reading()
        super().connection_lost(exc)

    def close(self) -> None:
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # What is received

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        data = self._unread + data if self._unread else data
        view, start = memoryview(data), 0
        try:
            while start < len(data) and self._may_go_on():
                end = self._cutter.cut(data, start)
                self._take(view[start:end])
                start = end
        except (httptools.HttpParserError, Malformed, ValueError, UnicodeDecodeError) as error:
            self._end_with(MalformedRequest(_reason(error)))
        self._unread = data[start:]
        if self._unread:
            self.flow.pause_reading()

    def _may_go_on(self) -> bool:
        """Whether the next bytes belong to the request in progress, or there is none."""
        if self.transport.is_closing() or (self._received and self._answering):
            return False
        if self._received:
            self._cutter.begin()
            self._received = False
        if self._cutter.part is Part.HEAD:
            self._expect_head()
        return True

    def _take(self, piece: memoryview) -> None:
        """A piece of one part of one request."""
        part, self._body_bytes = self._cutter.part, 0
        if self._raw:
            self.on_body(bytes(piece))
        else:
            self._parse(piece)
        if part is Part.HEAD and self._body_bytes:
            raise Malformed(NOT_HTTP)
        self._cutter.counted(len(piece) if part is self._cutter.part else 0, self._body_bytes)
        if self._raw and not self._cutter.body_left:
            self._complete()

    def _parse(self, piece: memoryview) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self._cutter.part is Part.CHUNKS:
                raise Malformed("An upgrade cannot be offered together with a chunked body.") from None
            self._raw, self._received = True, False
            self.cycle.keep_alive = False  # the parser has stopped for good

    # What is found in it

    def on_message_begin(self) -> None:
        if self._received:
            raise Malformed(NOT_HTTP)
        super().on_message_begin()
        self._pieces, self._pieces_bytes, self._handed_over = [], 0, self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._cutter.part is Part.HEAD:
            super().on_header(name, value)
            if len(self.headers) > MAX_HEADERS:
                raise Malformed(f"The request has more than {MAX_HEADERS} headers.")

    def on_headers_complete(self) -> None:
        self._head_has_come()
        self._open_connections.busy(self)
        super().on_headers_complete()
        lengths = [value for name, value in self.headers if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        self._cutter.head_ended(int(lengths[0]) if lengths else None, chunked=chunked)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self.cycle.response_complete:
            return
        self._pieces.append(body)
        self._pieces_bytes += len(body) + OBJECT_BYTES
        if self._pieces_bytes > MAX_PIECES_BYTES or self.loop.time() - self._handed_over > MAX_PIECES_S:
            self.flow.pause_reading()
            self._hand_over()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        # Of an upgrade the parser sees no body: it calls the request complete before that has come.
        if not self.parser.should_upgrade():
            self._complete()

    def _complete(self) -> None:
        self._received = True
        self._hand_over()
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def _hand_over(self) -> None:
        body = b"".join(self._pieces)
        # The bytes themselves where there is nothing before them: uvicorn would copy a bytearray twice.
        self.cycle.body = self.cycle.body + body if self.cycle.body else body  # type: ignore[assignment]
        self._pieces, self._pieces_bytes, self._handed_over = [], 0, self.loop.time()

    # What is sent

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._open_connections.idle(self)
        if self._unread and not self.transport.is_closing():
            self.data_received(b"")

    def pause_writing(self) -> None:
        """The client has left more unread than is held for it; it has so long to read on."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(SEND_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_reading()

    def _is_reading(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _end_with(self, error: ServiceError) -> None:
        """The last answer on a connection; none where another answer has begun."""
        if self._answering and self.cycle.response_started:
            self.transport.abort()
            return
        request_id = uuid.uuid4().hex
        worded = wording(error, self._language)
        body = to_json(problem(error, request_id, worded))
        more = "".join(f"{name}: {value}\r\n" for name, value in headers_of(error, worded).items())
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n{more}Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    @property
    def _language(self) -> Language:
        """What the client has asked for, if it has got that far."""
        asked = (value for name, value in self.headers or () if name == b"accept-language")
        return preferred(next(asked, b"").decode("latin-1"))

    # Time

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_has_not_come)

    def _head_has_come(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_has_not_come(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._end_with(UploadTimeout(f"The request's head did not arrive within {HEAD_S:g} s."))


def _reason(error: Exception) -> str:
    """For the client: ours, also where it was raised while the parser ran, but never the parser's."""
    ours = error if isinstance(error, Malformed) else error.__context__
    return str(ours) if isinstance(ours, Malformed) else NOT_HTTP


def _give_up_on_who_does_not_read(transport: asyncio.BaseTransport) -> None:
    """The system ends the connection when a client has taken nothing for so long, whatever state it is in here."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * SEND_S))
