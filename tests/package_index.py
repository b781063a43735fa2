"""Package indexes on this machine, with wheels small enough to be made by hand."""

import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def add_wheel(
    index: Path, name: str, version: str, files: Mapping[str, str] | None = None, requires: Sequence[str] = ()
) -> None:
    """Put a wheel of pure Python into an index: a folder with a folder for each name."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (files or {f"{name}.py": ""}).items():
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class IndexHost:
    """``requests`` collects the paths that were asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[str] = []


@contextmanager
def serving_indexes(folder: Path) -> Iterator[IndexHost]:
    """Serve a folder of indexes: the server's own listing of a folder is all that pip needs to see."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            host.requests.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    host = IndexHost(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
