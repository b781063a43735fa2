"""What a front and the network's process say to each other: JSON, many messages in one write."""

import asyncio
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple

from pydantic_core import from_json

from app.errors import InternalError, ServiceError
from app.model.evaluation import Evaluation

Message = Sequence[Any]
"""A word, and what belongs to it."""
LENGTH = struct.Struct("!I")


class Wire(asyncio.Protocol):
    """One end of a connection. What is sent while the event loop has its turn travels together.

    ``on_message(wire, message)`` hears what comes, ``on_lost(wire)`` that nobody is there any more.
    """

    def __init__(
        self, on_message: Callable[["Wire", Message], object], on_lost: Callable[["Wire"], object] = lambda _: None
    ) -> None:
        self._on_message, self._on_lost = on_message, on_lost
        self._received = bytearray()
        self._to_send: list[Message] = []
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._flush()  # what was sent before there was a connection

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport, self._lost = None, True
        self._on_lost(self)

    def send(self, *message: Any) -> None:
        """Nothing happens when nobody is there any more: ``on_lost`` has said so."""
        if self._lost:
            return
        if not self._to_send:
            asyncio.get_running_loop().call_soon(self._flush)
        self._to_send.append(message)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is None or not self._to_send:
            return
        messages, self._to_send = self._to_send, []
        if not self._transport.is_closing():
            content = json.dumps(messages, separators=(",", ":")).encode()
            self._transport.write(LENGTH.pack(len(content)) + content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                return
            content = bytes(self._received[LENGTH.size : end])
            del self._received[:end]
            for message in from_json(content):
                self._on_message(self, message)


def pack_evaluation(evaluation: Evaluation) -> Message:
    return astuple(evaluation)


def unpack_evaluation(message: Message) -> Evaluation:
    method, crops, scales, heatmap = message
    return Evaluation(method, crops, tuple(scales), heatmap)


class Refusal(NamedTuple):
    """A ``ServiceError`` on its way to another process."""

    code: str
    detail: str
    headers: dict[str, str]

    @classmethod
    def of(cls, error: ServiceError) -> "Refusal":
        return cls(error.code, error.detail, error.headers)

    def error(self) -> ServiceError:
        kind = next((one for one in ServiceError.__subclasses__() if one.code == self.code), InternalError)
        return kind(self.detail, self.headers)
