"""uvicorn's server with one thing of its own: how to leave.

uvicorn closes its sockets before the application hears of it, so a drain cannot live in the application. On SIGTERM:
unready at once, serve on for ``drain_delay_s`` while load balancers notice, then refuse new work, finish what was
accepted (``drain_timeout_s`` at most), close. SIGINT, a person at the keyboard, skips the delay; a second one is final.
"""

import logging
import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.errors import ModelError
from app.http.service import Service
from app.lifecycle import State
from app.listener import explain, listen
from app.main import create_app
from app.protocol import CarefulProtocol
from app.settings import Settings

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
CLOSING_S = 5  # for answers on their way out, after everything accepted is finished


class Server(uvicorn.Server):
    """Drains before it closes, and stops by itself when the service has failed."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._leaving_since: float | None = None
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
            return True
        if self._leaving_since is not None and not self.should_exit:
            self.should_exit = self._drain(time.monotonic() - self._leaving_since)
        return await super().on_tick(counter)

    def _drain(self, elapsed_s: float) -> bool:
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
        overdue = elapsed_s > self._delay_s + self._service.settings.drain_timeout_s
        if overdue and in_flight:
            logger.warning("Closing with %d requests unfinished.", in_flight)
        return overdue or not in_flight


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
        timeout_graceful_shutdown=CLOSING_S,
    )  # fmt: skip
    Server(config, service).run(sockets=[listener])
    return EXIT_FAILED if service.lifecycle.state is State.FAILED else 0
