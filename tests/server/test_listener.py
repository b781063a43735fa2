import socket
import sys

import pytest

from app.server.listener import ignore_newcomers, listen

REQUEST = b"x" * 100


def client(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=0.3)


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux's")
def test_who_is_ignored_is_refused_later_and_who_came_before_is_accepted() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        address = listener.getsockname()
        with client(address) as early:
            ignore_newcomers(listener)
            with pytest.raises(TimeoutError):
                client(address)
            accepted, _ = listener.accept()
            with accepted:
                early.sendall(REQUEST)
                accepted.settimeout(5)
                assert accepted.recv(1000) == REQUEST
                accepted.sendall(REQUEST)
                assert early.recv(1000) == REQUEST
            with pytest.raises(BlockingIOError):
                listener.accept()
    with pytest.raises(ConnectionRefusedError):
        client(address)
