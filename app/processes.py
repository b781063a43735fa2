"""What runs in each process of a service that has several."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from fastapi import FastAPI

from app.http.service import Service
from app.model.registry import Registry
from app.parts import Front, Shared, ToServe, local_inference
from app.server import leave
from app.server.run import FAILED, Server
from app.server.supervisor import Child, Supervisor
from app.serving.host import Host
from app.serving.lifecycle import Lifecycle, State
from app.serving.metrics import Metrics
from app.serving.remote import RemoteInference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processes:
    """A supervisor's children. ``folder`` has what they find each other by, and what they count."""

    shared: Shared
    to_serve: ToServe
    build_app: Callable[[Service], FastAPI]
    listeners: Sequence[socket.socket]
    folder: TemporaryDirectory[str] = field(default_factory=partial(TemporaryDirectory, prefix="vgg16-"))

    def run(self) -> int:
        """Run them all until told to stop; the exit status."""
        shared, settings = self.shared, self.shared.settings
        network = Child("the network's process", shared.network_row, self.run_network)
        fronts = [
            Child(f"front {number + 1}", number, partial(self.run_front, number)) for number in range(shared.fronts)
        ]
        leave_s = settings.drain_delay_s + settings.drain_timeout_s
        with self.folder:
            status = Supervisor(network, fronts, self.listeners, shared.tally, leave_s).run()
        logger.info("Stopped.")
        return status

    @property
    def _address(self) -> Path:
        return Path(self.folder.name, "network")

    def run_front(self, number: int, start: int) -> int:
        """In its process: take requests, until told to stop; the exit status."""
        shared = self.shared
        if number:  # what all of them do is said once
            logging.getLogger(leave.__name__).setLevel(logging.WARNING)
        self._close_listeners(but=self.listeners[number])
        metrics = Metrics(Path(self.folder.name), f"front-{number}")
        front = Front(shared, shared.row(number), metrics, start)
        registry = Registry(self.to_serve.selection.default)
        inference = RemoteInference(
            self._address, registry, shared.tally, front.lifecycle, others_ready=front.decoders.ready
        )
        service = front.service(inference)
        Server(self.build_app(service), service, self.listeners[number]).run()
        return FAILED if service.lifecycle.state is State.FAILED else 0

    def run_network(self, _start: int) -> int:
        """In its process: load the models and answer the fronts, until there are none any more; the exit status."""
        self._close_listeners()
        lifecycle = Lifecycle()
        uvloop.run(self._answer_fronts(lifecycle))
        return FAILED if lifecycle.state is State.FAILED else 0

    async def _answer_fronts(self, lifecycle: Lifecycle) -> None:
        shared = self.shared
        metrics = Metrics(Path(self.folder.name), "network")
        inference = local_inference(shared, self.to_serve, lifecycle, metrics, _nothing_else)
        forward_timeout_s = shared.settings.forward_timeout_s
        row = shared.row(shared.network_row)
        host = Host(self._address, inference, lifecycle, row, forward_timeout_s=forward_timeout_s)
        for sig in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sig, host.stop)
        await host.serve()

    def _close_listeners(self, but: socket.socket | None = None) -> None:
        """A connection is refused once the one who should accept it has left, and not when everybody has."""
        for listener in self.listeners:
            if listener is not but:
                listener.close()


async def _nothing_else() -> None:
    """The network's process is ready when its models are."""
