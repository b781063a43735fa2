"""Processes and sockets: how the service listens, speaks HTTP/1.1, and leaves."""
