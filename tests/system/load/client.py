"""A lean HTTP/1.1 client: on a machine that it shares with the server, its own cost must not be what is measured."""

import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.load.uploads import Upload


@dataclass
class Outcome:
    """What came back: latencies in seconds of right answers, statuses, and answers that were wrong."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    server_added: list[float] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return 1000 * ordered[int(percent / 100 * (len(ordered) - 1))] if ordered else float("nan")

    @property
    def mean_batch(self) -> float:
        return statistics.mean(self.batch_sizes) if self.batch_sizes else float("nan")


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


def read_answer(outcome: Outcome, upload: Upload, status: int, body: bytes, latency: float) -> None:
    """Enter one response; the answer is checked, whoever gave it."""
    outcome.statuses[str(status)] += 1
    if status != 200:
        return
    answer = json.loads(body)
    best = answer["predictions"][0]["class_index"] if "predictions" in answer else answer["class_index"]
    if best != upload.expected:
        outcome.wrong += 1
        return
    outcome.latencies.append(latency)
    if "batch_size" in answer:
        outcome.batch_sizes.append(answer["batch_size"])
    if "timing_ms" in answer:
        timing = answer["timing_ms"]
        own = timing["decode"] + timing["preprocess"] + timing["inference"]
        outcome.server_added.append(1000 * latency - own)


async def closed_loop(
    port: int,
    uploads: Sequence[Upload],
    connections: int,
    seconds: float,
    *,
    raw: bool = False,
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Each connection sends the next upload as soon as it has its answer, for some seconds or until told to stop."""
    outcome = Outcome()
    requests = itertools.cycle([(upload, upload.request("/predict", raw=raw)) for upload in uploads])
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
            read_answer(outcome, upload, status, body, time.perf_counter() - sent)
        connection.close()

    await asyncio.gather(*(drive() for _ in range(connections)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def open_loop(port: int, uploads: Sequence[Upload], rate: float, seconds: float, deadline_s: float) -> Outcome:
    """Requests at a fixed rate, whether or not earlier ones have been answered; late answers count as none."""
    outcome = Outcome()
    headers = f"X-Request-Timeout-Ms: {int(deadline_s * 1000)}\r\n"
    requests = itertools.cycle([(upload, upload.request("/predict", raw=False, headers=headers)) for upload in uploads])
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
                read_answer(outcome, upload, status, body, latency)
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
