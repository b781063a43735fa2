"""uvicorn's server, which serves until the service has left or has failed."""

import asyncio
import logging
import math
import os
import socket
import time
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from app.errors import Draining, InternalError, ServiceError
from app.http.service import Service
from app.server.connections import Connections, affordable
from app.server.leave import CLOSING_S, Departure
from app.server.protocol import CarefulProtocol
from app.serving.lifecycle import State
from app.serving.tally import Field

logger = logging.getLogger(__name__)

FAILED = 1  # exit status
ANSWERING_S = 0.2  # for the errors that go out when the service has failed
WATCH_S = 0.1
# Longer than proxies and client libraries keep an idle connection (60 s), so that none is closed as it is being used.
KEEP_ALIVE_S = 75
# New connections that are begun before anybody else has a turn; asyncio takes as many at once as it is told may wait.
ACCEPTED_AT_ONCE = 16
MAY_WAIT = 2048


class Server(uvicorn.Server):
    """One application on one bound socket."""

    def __init__(self, app: FastAPI, service: Service, listener: socket.socket) -> None:
        settings, metrics = service.settings, service.metrics
        open_connections = Connections(
            affordable(math.ceil(settings.max_connections / max(1, settings.fronts))),
            metrics.connections_closed,
            lambda count: service.row.set(Field.CONNECTIONS, count),
        )
        config = uvicorn.Config(
            app,
            http=partial(CarefulProtocol, open_connections=open_connections),  # type: ignore[arg-type]  # it is called
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            backlog=ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=int(CLOSING_S),
        )
        super().__init__(config)
        self._service = service
        self._listener = listener

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        super().run(sockets or [self._listener])

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._departure = Departure(self._service, self, self._listener)
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Runs as a signal handler: only passes on what is wanted."""
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._departure.tell, sig)

    async def main_loop(self) -> None:
        """Until one of these ends; uvicorn's own loop keeps the ``Date`` header and never does."""
        self._listener.listen(MAY_WAIT)
        ends = [super().main_loop(), self._departure.leave(), self._abort(), self._fail()]
        tasks = [asyncio.create_task(end) for end in ends]
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        for task in done:
            task.result()

    async def _fail(self) -> None:
        """Return when the service has failed, and everybody who waits has been told so."""
        lifecycle, pipeline = self._service.lifecycle, self._service.pipeline
        while lifecycle.state is not State.FAILED:
            running_s = pipeline.inference.running_s
            if running_s > self._service.settings.forward_timeout_s:
                lifecycle.become(State.FAILED, f"a forward pass has been running for {running_s:.0f} s")
            else:
                self._publish()
                await asyncio.sleep(WATCH_S)
        logger.critical("Stopping: %s.", lifecycle.reason)
        await self._give_up(InternalError("The service has failed and is stopping."))

    def _publish(self) -> None:
        """What the service's other processes read, and what they want of this one."""
        service = self._service
        service.row.set(Field.BEAT_S, time.monotonic())
        service.row.set(Field.READY, service.lifecycle.state is State.READY)
        service.admission.publish()
        service.arrivals.make_room_for_others()

    async def _abort(self) -> None:
        """Return when somebody at the keyboard does not want to wait any more."""
        await self._departure.at_once.wait()
        await self._give_up(Draining("The service was told to stop at once."))

    async def _give_up(self, error: ServiceError) -> None:
        self._service.pipeline.abandon(error)
        await asyncio.sleep(ANSWERING_S)


def run_server(app: FastAPI, service: Service, listener: socket.socket) -> int:
    """Serve an application on a bound socket; the process's exit status."""
    Server(app, service, listener).run()
    logger.info("Stopped.")
    return FAILED if service.lifecycle.state is State.FAILED else 0


def end_process(status: int) -> NoReturn:
    """End the process without waiting for its threads.

    Everything accepted has been answered; one that still loads weights, or a forward pass that never ends, is not
    worth waiting for.
    """
    logging.shutdown()
    os._exit(status)
