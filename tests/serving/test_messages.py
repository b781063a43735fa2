"""What the ends of a connection between processes say to each other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app import errors
from app.serving.messages import LENGTH, Message, Refusal, Wire


class Ends:
    """Two wires, connected; what comes out of the second."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.lost: list[Wire] = []
        self.ours, self.theirs = socket.socketpair()
        self.wire = Wire(lambda _, __: None)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self.wire, sock=self.ours)
        other = Wire(lambda _, message: self.heard.append(message), self.lost.append)
        await loop.create_unix_connection(lambda: other, sock=self.theirs)
        try:
            yield
        finally:
            self.wire.close()
            async with asyncio.timeout(10):
                while not self.lost:
                    await asyncio.sleep(0.001)

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                await asyncio.sleep(0.001)


def test_what_is_said_before_there_is_a_connection_is_heard() -> None:
    async def live() -> None:
        ends = Ends()
        ends.wire.send("first")
        await asyncio.sleep(0.01)
        async with ends.connected():
            ends.wire.send("second")
            await ends.until_heard(2)
        assert ends.heard == [["first"], ["second"]]

    asyncio.run(live())


def test_what_is_sent_in_one_turn_travels_in_order() -> None:
    async def live() -> None:
        ends = Ends()
        async with ends.connected():
            for number in range(2000):
                ends.wire.send("run", number, "图" * 50)
            await ends.until_heard(2000)
        assert ends.heard == [["run", number, "图" * 50] for number in range(2000)]
        ends.wire.send("nobody", "hears this")

    asyncio.run(live())


@pytest.mark.parametrize("step", [1, 3, 7])
def test_a_message_may_come_in_pieces(step: int) -> None:
    heard: list[Message] = []
    wire = Wire(lambda _, message: heard.append(message))
    contents = [b'[["a",1],["b",2]]', b'[["c",3]]']
    stream = b"".join(LENGTH.pack(len(content)) + content for content in contents)
    for start in range(0, len(stream), step):
        wire.data_received(stream[start : start + step])
    assert heard == [["a", 1], ["b", 2], ["c", 3]]


def test_every_error_of_the_contract_arrives_as_what_it_was() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.ServiceError)]
    assert len(kinds) > 15
    for kind in kinds:
        arrived = Refusal(*Refusal.of(kind("why", {"Retry-After": "7"}))).error()
        assert (arrived.code, arrived.status) == (kind.code, kind.status)
        assert (arrived.detail, arrived.headers) == ("why", {"Retry-After": "7"})
