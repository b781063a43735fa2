"""The socket to listen on, bound before anything slow begins."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises ``OSError`` when the address is taken or not this machine's."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def explain(host: str, port: int, error: OSError) -> str:
    """One line for an operator whose address cannot be had."""
    return f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port with VGG_PORT or --port."
