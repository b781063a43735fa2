"""Which paths the proxy passes on, and the ways in which somebody may ask for the others."""

import http.client
import json
import socket
import ssl
from contextlib import closing
from typing import NamedTuple

PUBLIC = (
    "/", "/page/main.js", "/page/theme.css", "/docs", "/docs-assets/swagger-ui.css",
    "/docs-assets/swagger-ui-bundle.js", "/openapi.json", "/models",
    "/models?x=1", "/labels?q=cat", "/livez", "/readyz", "/%6civez", "/%6d%6fdels", "http://localhost/livez",
)  # fmt: skip

# /metrics, and what is near it for somebody who reads paths less exactly than others.
PRIVATE = (
    "/metrics", "/%6detrics", "/%6d%65%74%72%69%63%73", "/metric%73", "/%2fmetrics", "/%2Fmetrics", "//metrics",
    "/metrics/", "/metrics//", "/./metrics", "/%2e/metrics", "/docs/../metrics", "/docs/%2e%2e/metrics",
    "/docs/..%2fmetrics", "/docs-assets/../metrics", "/docs-assets/..%2fmetrics", "/docs-assets/%2e%2e%2fmetrics",
    "/models/../metrics", "/models/..", "/models/%2e%2e", "/models/..%2fmetrics", "/%2e%2e/metrics", "/METRICS",
    "/Metrics", "/metrics%00", "/%00metrics", "/metrics%20", "/metrics%0a", "/metrics;a=b", "/metrics;",
    "/docs;/metrics", "/metrics?a=b", "/metrics?", "/%3f/metrics", "/metrics%3fa", "/metrics%23a", "/%256detrics",
    "/%6Detrics?/docs", "/metrics%", "/metrics%zz", "/%c1%8detrics", "/metrics\\", "/\\metrics", "/docs\\..\\metrics",
    "http://localhost/metrics", "http://localhost/%6detrics", "http://localhost//metrics",
    "http://localhost/docs/../metrics", "HTTP://evil.example/metrics", "http://localhost:8443/metrics",
    "http://a@localhost/metrics", "*", "/models/vgg16/load", "/models/vgg16%2fload", "/models/vgg16/%6coad",
    "/models/vgg16//load", "/models/vgg16/load/", "/models/vgg16/../vgg16/load", "/models/", "/predict/",
    "/docs-assets", "/docs-assets/", "/docs-assets/.", "/page", "/page/", "/page/../metrics",
    "/page/..%2fmetrics", "/redoc",
)  # fmt: skip


class Answer(NamedTuple):
    status: int
    body: str


def ask(address: tuple[str, int], context: ssl.SSLContext, target: str, method: str = "GET", more: str = "") -> Answer:
    """One request over HTTP/1.1 with exactly this target, which no client library would send."""
    with (
        socket.create_connection(address, 10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as stream,
    ):
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"
        stream.sendall(head.encode("latin-1"))
        with closing(http.client.HTTPResponse(stream, method=method)) as response:
            response.begin()
            return Answer(response.status, response.read().decode("utf-8", "replace"))


def is_refused(answer: Answer, method: str = "GET") -> bool:
    """A 404 in the contract's form, or haproxy's own 400 for what is no request at all."""
    if answer.status == 404 and method != "HEAD":
        return bool(json.loads(answer.body)["code"] == "not_found")
    return answer.status in (400, 404)
