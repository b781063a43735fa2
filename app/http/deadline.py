"""Work for as long as somebody waits for it: the request's deadline and the client's presence."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.errors import DeadlineExceeded, InvalidParameter

HEADER = "X-Request-Timeout-Ms"


def seconds_allowed(header: str | None, most_s: float) -> float:
    """The service's limit, or less where the request asks for less. Raises ``InvalidParameter``."""
    if header is None:
        return most_s
    if not re.fullmatch("[0-9]{1,9}", header) or int(header) == 0:
        raise InvalidParameter(f"{HEADER} must be a whole number of milliseconds from 1 to 999999999.")
    return min(most_s, int(header) / 1000)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel what is inside when the time is over, and raise ``DeadlineExceeded``."""
    try:
        async with asyncio.timeout(seconds) as timeout:
            yield
    except TimeoutError as error:
        if timeout.expired():
            raise DeadlineExceeded(f"The request was not answered within {seconds:g} s.") from error
        raise


@asynccontextmanager
async def while_connected(receive: Callable[[], Awaitable[Message]]) -> AsyncIterator[None]:
    """Cancel what is inside when the client leaves, and raise ``ClientDisconnect``. The body must have been read."""
    task = asyncio.current_task()
    assert task is not None  # handlers run in tasks
    left = False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
