"""uvicorn's server with one thing of its own: how to leave.

uvicorn closes its sockets before the application hears of it, so a drain cannot live in the application. On SIGTERM:
unready at once, serve on for ``drain_delay_s`` while load balancers notice, then refuse new work, finish what was
accepted (``drain_timeout_s`` at most), close. SIGINT, a person at the keyboard, skips the delay; a second one is final.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from app.errors import ModelError
from app.http.service import Service
from app.main import create_app
from app.server.listener import explain, ignore_newcomers, listen
from app.server.protocol import CarefulProtocol
from app.serving.lifecycle import State
from app.settings import Settings

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
ANSWERING_S = 0.2  # for the errors that go out when the service has failed
# Longer than proxies and client libraries keep an idle connection (60 s), so that none is closed as it is being used.
KEEP_ALIVE_S = 75
HANDSHAKE_S = 0.2  # for connections that are being made when no more are begun
CLOSING_S = 1.0  # for connections that stay open, after everything accepted has been answered


class Server(uvicorn.Server):
    """Drains before it closes, and stops by itself when the service has failed."""

    def __init__(self, config: uvicorn.Config, service: Service, listener: socket.socket) -> None:
        super().__init__(config)
        self._service = service
        self._listener = listener
        self._leaving_since: float | None = None
        self._ignoring_since: float | None = None
        self._closed_since: float | None = None
        self._delay_s = service.settings.drain_delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Runs as a signal handler: only notes what is wanted, the next tick acts."""
        if sig == signal.SIGINT:
            self._delay_s = 0
            self.should_exit = self._leaving_since is not None
        if self._leaving_since is None:
            self._leaving_since = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        lifecycle = self._service.lifecycle
        overdue_s = self._service.pipeline.forward_s
        if overdue_s > self._service.settings.forward_timeout_s:
            lifecycle.become(State.FAILED, f"a forward pass has been running for {overdue_s:.0f} s")
        if lifecycle.state is State.FAILED:
            logger.critical("Stopping: %s.", lifecycle.reason)
            self._service.pipeline.abandon()
            await asyncio.sleep(ANSWERING_S)
            return True
        if self._leaving_since is not None and not self.should_exit:
            self.should_exit = await self._drain(time.monotonic() - self._leaving_since)
        return await super().on_tick(counter)

    async def _drain(self, elapsed_s: float) -> bool:
        """One step of leaving; whether it is time to close."""
        lifecycle, in_flight = self._service.lifecycle, self._service.admission.in_flight
        if elapsed_s < self._delay_s:
            if lifecycle.state is State.READY:
                logger.info("Told to stop: unready now, refusing new requests in %g s.", self._delay_s)
            lifecycle.become(State.LEAVING, "told to stop")
            return False
        if lifecycle.state is not State.DRAINING:
            logger.info("Draining: %d requests in flight.", in_flight)
        lifecycle.become(State.DRAINING, "told to stop")
        if elapsed_s > self._delay_s + self._service.settings.drain_timeout_s:
            logger.warning("Closing with %d requests unfinished.", in_flight)
            return True
        return not in_flight and await self._close_listener()

    async def _close_listener(self) -> bool:
        """Accept no more; whether the connections that were accepted before have ended.

        Every answer given while leaving ends its connection, so they do by themselves. uvicorn would close them at
        once, and a request on its way in one of them would meet a reset instead of its 503.
        """
        if self._ignoring_since is None:
            self._ignoring_since = time.monotonic()
            try:
                ignore_newcomers(self._listener)
            except OSError as error:
                logger.warning("The system takes no filter (%s): a connection made at the last moment is reset.", error)
        if time.monotonic() - self._ignoring_since < HANDSHAKE_S:
            return False
        if self._closed_since is None:
            await self._accept_backlog()
            self._closed_since = time.monotonic()
            for server in self.servers:
                server.close()
            return False  # a connection accepted in this very moment is known to nobody before the next tick
        return not self.server_state.connections or time.monotonic() - self._closed_since > CLOSING_S

    async def _accept_backlog(self) -> None:
        """Take in the connections that the system has made but nobody has accepted: closing would reset them."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> CarefulProtocol:
        return CarefulProtocol(self.config, self.server_state, self.lifespan.state)


def serve(settings: Settings) -> int:
    """Run the service until it is told to stop; the process's exit status."""
    try:
        app = create_app(settings)
        listener = listen(settings.host, settings.port)
    except ModelError as error:
        logger.critical("%s", error)
        return EXIT_FAILED
    except OSError as error:
        logger.critical("%s", explain(settings.host, settings.port, error))
        return EXIT_FAILED
    logger.info("Listening on http://%s:%d (docs: /docs).", *listener.getsockname()[:2])
    return run(app, listener)


def run(app: FastAPI, listener: socket.socket) -> int:
    """Serve an application on a bound socket; the process's exit status."""
    service: Service = app.state.service
    config = uvicorn.Config(
        app, http=CarefulProtocol, ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=int(CLOSING_S),
    )  # fmt: skip
    Server(config, service, listener).run(sockets=[listener])
    logger.info("Stopped.")
    return EXIT_FAILED if service.lifecycle.state is State.FAILED else 0


def leave(status: int) -> NoReturn:
    """End the process without waiting for its threads.

    Everything accepted has been answered; one that still loads weights, or a forward pass that never ends, is not
    worth waiting for.
    """
    logging.shutdown()
    os._exit(status)
