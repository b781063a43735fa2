"""A local web server that serves a file the way bad networks do."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileHost:
    """What to serve, and how badly. ``requests`` collects the Range header of each request, ``None`` without one."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.status = 200
        self.break_off_after: list[int] = []  # bytes sent of each of the next answers before the connection drops
        self.ranges = True
        self.silent = False
        self.answers = math.inf  # requests that are answered; later ones wait
        self.stop = threading.Event()
        self.requests: list[str | None] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        if self.silent or len(self.requests) > self.answers:
            self.stop.wait(30)
            return
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.end_headers()
        handler.wfile.write(body[: self.break_off_after.pop(0)] if self.break_off_after else body)


@contextmanager
def hosting(content: bytes, name: str = "weights.pth") -> Iterator[FileHost]:
    host = FileHost(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that goes away is what some tests are about."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host.url = f"http://127.0.0.1:{server.server_address[1]}/{name}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield host
    finally:
        host.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
