"""Load from several processes: one in Python does not keep a device busy."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.system.load.client import closed_loop
from tests.system.load.outcome import Outcome
from tests.system.load.uploads import Upload, Wire

MOST_CLIENTS = 8
SAMPLE_S = 0.1


def clients_for(connections: int) -> int:
    """A third of the processor at the most: the rest is the service's."""
    return max(1, min(connections, MOST_CLIENTS, (os.cpu_count() or 1) // 3))


def drive(port: int, uploads: Sequence[Upload], connections: int, seconds: float, wire: Wire) -> Outcome:
    """As ``closed_loop``, its connections spread over processes."""
    clients = clients_for(connections)
    shares = [connections // clients + (number < connections % clients) for number in range(clients)]
    if clients == 1:
        return asyncio.run(closed_loop(port, uploads, connections, seconds, wire=wire))
    with ProcessPoolExecutor(clients, get_context("spawn")) as pool:
        for _ in pool.map(_come_up, range(clients)):
            pass
        jobs = [pool.submit(_drive, port, uploads, share, seconds, wire) for share in shares]
        return together([job.result() for job in jobs])


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """What came back at the same time, as one."""
    whole = Outcome(seconds=max(outcome.seconds for outcome in outcomes))
    for outcome in outcomes:
        whole.latencies += outcome.latencies
        whole.batch_sizes += outcome.batch_sizes
        whole.server_added += outcome.server_added
        whole.statuses += Counter(outcome.statuses)
        whole.wrong += outcome.wrong
    return whole


def _come_up(_: int) -> None:
    """Imports are done before the clock runs."""


def _drive(port: int, uploads: Sequence[Upload], connections: int, seconds: float, wire: Wire) -> Outcome:
    return asyncio.run(closed_loop(port, uploads, connections, seconds, wire=wire))


class Sampler:
    """The mean of what ``read`` says while the context lasts; ``None`` where there is nothing to read."""

    def __init__(self, read: Callable[[], float] | None) -> None:
        self._read = read
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Sampler":
        if self._read is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._read is not None:
            self._thread.join()

    @property
    def mean(self) -> float | None:
        return sum(self._samples) / len(self._samples) if self._samples else None

    def _sample(self) -> None:
        assert self._read is not None  # or it would not have been started
        while not self._stop.wait(SAMPLE_S):
            self._samples.append(self._read())
