"""Where the service is in its life, and what that means for a request and for a probe."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from app.errors import Draining, NotReady


class State(StrEnum):
    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"  # told to stop: probes say so, requests are still served while load balancers notice
    DRAINING = "draining"  # finishes what it accepted, refuses the rest
    FAILED = "failed"


STAGES = {State.LOADING: 0, State.READY: 0, State.LEAVING: 1, State.DRAINING: 2, State.FAILED: 3}


class Lifecycle:
    """``loading <-> ready -> leaving -> draining``; ``failed`` from anywhere, and for good.

    A service that is ready loads again when the process that had its models has ended. Nobody is sent here before
    ``others_ready``, which is asked until it has been true once: the service's other processes.
    """

    def __init__(self, others_ready: Callable[[], bool] = lambda: True) -> None:
        self.state = State.LOADING
        self.reason = "models are being loaded"
        self._others_ready = others_ready
        self._has_been_whole = False
        self._changed = asyncio.Event()

    def become(self, state: State, reason: str) -> None:
        """Go there, unless that is behind: who leaves does not become ready again, who has failed does nothing else."""
        if STAGES[state] >= STAGES[self.state]:
            self.state, self.reason = state, reason
            self._changed.set()

    async def until_ready(self, timeout_s: float) -> None:
        """Return when it is, or when it is no use to wait any longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.state is State.LOADING:
                    self._changed.clear()
                    await self._changed.wait()

    def check_serving(self) -> None:
        """Raise unless a new request may be accepted."""
        if self.state is State.DRAINING:
            raise Draining("The service is shutting down; send the request to another instance.")
        if self.state in (State.LOADING, State.FAILED):
            raise NotReady(f"The service is not ready ({self.state}): {self.reason}.")

    def check_ready(self) -> None:
        """Raise unless a load balancer should send new traffic here."""
        self.check_serving()
        if self.state is State.LEAVING:
            raise Draining("The service is about to shut down.")
        self._has_been_whole = self._has_been_whole or self._others_ready()
        if not self._has_been_whole:
            raise NotReady("The service is not ready: some of its processes are still starting.")
