"""Small files that cost much, sent at a steady rate: ``python -m tests.system.chaos.assault PORT RATE SECONDS SEED``.

A process of its own, so that what it costs itself does not look like the service's latency. It prints a line of JSON
for each file that was sent, as a ``Shot``. ``RATE`` is in files per second.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from tests.system.attacks.corpus import attacks
from tests.system.chaos.faults import HEAD
from tests.system.load.client import Connection

# None: the service's own, which is the longest.
DEADLINES_MS = (100, 300, 1_000, 5_000, 30_000, None)
PATIENCE_S = 60.0


class Shot(NamedTuple):
    """One file on its way. ``code`` is a problem's, a status, or how the connection ended; times on ``monotonic``."""

    name: str
    code: str
    sent: float
    answered: float
    deadline_ms: int | None = None

    @property
    def late_s(self) -> float:
        """How long after its deadline it was answered."""
        return self.answered - self.sent - self.deadline_ms / 1000 if self.deadline_ms else 0.0


async def shoot(port: int, name: str, data: bytes, deadline_ms: int | None) -> Shot:
    """Send one file on a connection of its own."""
    head = HEAD.format("application/octet-stream", len(data)).encode()
    if deadline_ms is not None:
        head = head[:-2] + f"X-Request-Timeout-Ms: {deadline_ms}\r\n\r\n".encode()
    connection, sent = Connection(port), time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            status, body = await connection.post(head + data)
            code = str(status) if status == 200 else f"{status} {json.loads(body)['code']}"
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        code = type(error).__name__
    finally:
        connection.close()
    return Shot(name, code, sent, time.monotonic(), deadline_ms)


async def assault(port: int, files: Sequence[tuple[str, bytes]], rate: float, seconds: float, seed: int) -> list[Shot]:
    """Every file once, in an order by chance, then again, each with a deadline by chance; whoever answers when."""
    dice = random.Random(seed)
    shots: list[asyncio.Task[Shot]] = []
    began = time.monotonic()
    while len(shots) < rate * seconds:
        for name, data in dice.sample(files, len(files)):
            if len(shots) >= rate * seconds:
                break
            await asyncio.sleep(began + len(shots) / rate - time.monotonic())
            shots.append(asyncio.create_task(shoot(port, name, data, dice.choice(DEADLINES_MS))))
    return list(await asyncio.gather(*shots))


def main(port: int, rate: float, seconds: float, seed: int) -> None:
    """Says ``ready`` when the files are made, and begins when it is told to by a line on standard input."""
    files = list(attacks())
    print("ready", flush=True)
    with suppress(EOFError):
        input()
    for shot in asyncio.run(assault(port, files, rate, seconds, seed)):
        print(json.dumps(shot))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
