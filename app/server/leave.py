"""How the service leaves: delay, refuse, finish, stop accepting, close.

uvicorn closes its sockets before the application hears of it, so this cannot live in the application.
"""

import asyncio
import logging
import signal
import socket
from contextlib import suppress

import uvicorn

from app.http.service import Service
from app.server.listener import ignore_newcomers
from app.serving.lifecycle import State
from app.serving.tally import Field

logger = logging.getLogger(__name__)

TICK_S = 0.05
HANDSHAKE_S = 0.2  # for connections that are being made when no more are begun
CLOSING_S = 1.0  # for connections that stay open, after everything accepted has been answered


class Departure:
    """One for a server, on its event loop. ``tell`` is for signals; ``leave`` goes from the first one to the end."""

    def __init__(self, service: Service, server: uvicorn.Server, listener: socket.socket) -> None:
        self._service = service
        self._server = server
        self._listener = listener
        self._told = asyncio.Event()
        self._hurried = asyncio.Event()
        self.at_once = asyncio.Event()
        """A second SIGINT: somebody at the keyboard does not want to wait any more."""

    def tell(self, sig: int) -> None:
        """SIGTERM begins the departure; SIGINT does, too, and skips the delay: nobody balances load to a keyboard."""
        if sig == signal.SIGINT:
            if self._told.is_set():
                self.at_once.set()
            self._hurried.set()
        self._told.set()

    async def leave(self) -> None:
        """Return when everything accepted has been answered and nobody is connected, or time is up."""
        await self._told.wait()
        await self._delay()
        self._refuse()
        if await self._finish():
            await self._stop_accepting()
            await self._close()

    async def _delay(self) -> None:
        """Unready, but serving on while load balancers notice."""
        seconds = self._service.settings.drain_delay_s
        if seconds and not self._hurried.is_set():
            logger.info("Stopping: not ready from now on, refusing new requests in %g s.", seconds)
            self._service.lifecycle.become(State.LEAVING, "told to stop")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), seconds)

    def _refuse(self) -> None:
        logger.info("Draining: %d requests in flight.", self._service.row.tally.total(Field.IN_FLIGHT))
        self._service.lifecycle.become(State.DRAINING, "told to stop")

    async def _finish(self) -> bool:
        """Whether everything accepted has been answered in time."""
        try:
            async with asyncio.timeout(self._service.settings.drain_timeout_s):
                while self._service.admission.in_flight:
                    await asyncio.sleep(TICK_S)
        except TimeoutError:
            logger.warning("Closing with %d requests unfinished.", self._service.admission.in_flight)
            return False
        return True

    async def _stop_accepting(self) -> None:
        """Begin no more connections, and take in those that were being made: closing would reset them."""
        try:
            ignore_newcomers(self._listener)
        except OSError as error:
            logger.warning("Cannot filter new connections (%s): one made at the last moment may be reset.", error)
        await asyncio.sleep(HANDSHAKE_S)
        await self._accept_backlog()
        for server in self._server.servers:
            server.close()

    async def _accept_backlog(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        server = self._server
        return server.config.http_protocol_class(server.config, server.server_state, server.lifespan.state)  # type: ignore[call-arg]

    async def _close(self) -> None:
        """Every answer given while leaving ends its connection, so that connections end by themselves.

        uvicorn would close them at once, and a request on its way in one of them would meet a reset instead of its 503.
        """
        await asyncio.sleep(TICK_S)  # a connection accepted in this very moment is known to nobody yet
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                while self._server.server_state.connections:
                    await asyncio.sleep(TICK_S)
