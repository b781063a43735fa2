"""The socket to listen on: bound before anything slow begins, left without resetting anybody."""

import ctypes
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the module socket does not know it
# A filter of packets in Linux's classic BPF (linux/filter.h: code, jump if true, jump if false, value), which sees a
# packet from its TCP header on: load the byte of flags; is SYN among them? drop the packet; keep it.
IGNORE_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises ``OSError`` when the address is taken or not this machine's."""
    return _bind(host, port, shared=False)


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """As ``listen``, several for one address: the system spreads connections evenly among those that listen."""
    listen(host, port).close()  # an address that others of ours share can be shared with anybody's
    first = _bind(host, port, shared=True)
    return [first, *(_bind(host, first.getsockname()[1], shared=True) for _ in range(count - 1))]


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def ignore_newcomers(listener: socket.socket) -> None:
    """From now on no connection is begun; those that are made, or being made, can still be accepted.

    Closing a listener resets what the system has taken in since the last look, however short ago that was. Whoever is
    ignored asks again after a second, and is refused, once the listener is closed. Does nothing except on Linux. Raises
    ``OSError`` where the system takes no filter.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in IGNORE_SYN))
    handle = struct.pack("HP", len(IGNORE_SYN), ctypes.addressof(program))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, handle)


def explain(host: str, port: int, error: OSError) -> str:
    """One line for an operator whose address cannot be obtained."""
    return f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port with VGG_PORT or --port."
