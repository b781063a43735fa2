"""A siege is worth what it objects to."""

import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress

import pytest

from app.settings import CHECKOUT
from tests.system.chaos.floods import FLOODS, statuses
from tests.system.chaos.siege import MAY_COME_BACK, Beside, objections

QUIET = Beside(peak_mib=100, left_mib=100)


def test_what_came_back_as_it_may_is_no_objection() -> None:
    assert (
        objections("foreign_hosts", Beside(live_s=0.9, peak_mib=156, left_mib=141, answers=Counter({"421": 9})), QUIET)
        == []
    )


def test_other_answers_memory_and_a_service_that_does_not_answer_are() -> None:
    assert objections("foreign_hosts", Beside(answers=Counter({"200": 1})), QUIET) == ["foreign_hosts: 1 x 200"]
    assert objections("pipelined", Beside(live_s=float("inf")), QUIET) == ["pipelined: /livez took inf s"]
    assert objections("pipelined", Beside(peak_mib=158), QUIET) == ["pipelined: memory rose from 100 to 158 MiB"]
    assert objections("pipelined", Beside(left_mib=143), QUIET) == ["pipelined: memory grew from 100 to 143 MiB"]


def test_every_flood_says_what_may_come_back() -> None:
    assert MAY_COME_BACK.keys() == FLOODS.keys()
    assert not any(status.startswith("5") for allowed in MAY_COME_BACK.values() for status in allowed)


def test_every_answer_of_a_connection_is_counted() -> None:
    assert statuses(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nHTTP/1.1 200 OK") == {"200": 2, "404": 1}


@pytest.mark.parametrize("flood", ["endless_trailers", "many_headers"])
def test_a_flood_flows(flood: str) -> None:
    """Against somebody who only swallows: it goes on for as long as it was told, and is left open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_swallow, args=(server,), daemon=True).start()
        command = [sys.executable, "-m", "tests.system.chaos.floods", flood, str(server.getsockname()[1]), "0.3"]
        result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "still open" in result.stdout


def _swallow(server: socket.socket) -> None:
    """Accept everything and read it away, until the server is closed."""
    with selectors.DefaultSelector() as selector, suppress(OSError, ValueError):
        selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    selector.register(server.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket) and not key.fileobj.recv(2**20):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
