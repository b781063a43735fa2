"""A lean HTTP/1.1 client: on a machine that it shares with the server, its own cost must not be what is measured."""

import asyncio
import itertools
import time
from collections.abc import Sequence

from tests.system.load.outcome import Outcome
from tests.system.load.uploads import Upload, Wire


class Connection:
    """One keep-alive connection, opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises ``OSError`` or ``asyncio.IncompleteReadError`` when the connection breaks."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        except BaseException:
            self.close()
            raise
        if b"connection: close" in lower:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def closed_loop(
    port: int,
    uploads: Sequence[Upload],
    connections: int,
    seconds: float,
    *,
    wire: Wire = "multipart",
    headers: str = "",
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Each connection sends the next upload as soon as it has its answer, for some seconds or until told to stop."""
    outcome = Outcome()
    requests = itertools.cycle([(upload, upload.ask(wire, headers)) for upload in uploads])
    began = time.perf_counter()

    async def drive() -> None:
        connection = Connection(port)
        while time.perf_counter() - began < seconds and not (stop and stop.is_set()):
            upload, request = next(requests)
            sent = time.perf_counter()
            try:
                status, body = await connection.post(request)
            except (OSError, asyncio.IncompleteReadError) as error:
                outcome.statuses[type(error).__name__] += 1
                await asyncio.sleep(0.01)
                continue
            outcome.enter(upload, status, body, time.perf_counter() - sent)
        connection.close()

    await asyncio.gather(*(drive() for _ in range(connections)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def open_loop(
    port: int, uploads: Sequence[Upload], rate: float, seconds: float, deadline_s: float, *, wire: Wire = "multipart"
) -> Outcome:
    """Requests at a fixed rate, whether or not earlier ones have been answered; late answers count as none."""
    outcome = Outcome()
    headers = f"X-Request-Timeout-Ms: {int(deadline_s * 1000)}\r\n"
    requests = itertools.cycle([(upload, upload.ask(wire, headers)) for upload in uploads])
    idle: list[Connection] = []
    tasks: set[asyncio.Task[None]] = set()
    began = time.perf_counter()

    async def send(upload: Upload, request: bytes, due: float) -> None:
        connection = idle.pop() if idle else Connection(port)
        try:
            status, body = await connection.post(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            outcome.statuses[type(error).__name__] += 1
        else:
            latency = time.perf_counter() - due
            if status == 200 and latency > deadline_s:
                outcome.statuses["late"] += 1
            else:
                outcome.enter(upload, status, body, latency)
        idle.append(connection)

    for number in itertools.count():
        due = began + number / rate
        if due - began > seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(send(*next(requests), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=deadline_s + 30)
    outcome.seconds = time.perf_counter() - began  # to the last answer: a queue that is worked off is no extra speed
    for connection in idle:
        connection.close()
    return outcome
