"""Which host names callers may use: a page of somebody else's must not reach a laptop's service by a name of its own.

DNS rebinding: the page's name first leads to its own server and then to 127.0.0.1, and the browser calls that the same
origin. The ``Host`` header still says whom the page believes to be talking to. An address in the place of a name cannot
be led anywhere else, so it always passes: health checks and Prometheus call by address.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import MisdirectedRequest
from app.http.context import context_of
from app.http.problems import problem_response

HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+?)\.?)(:[0-9]*)?")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class HostMiddleware:
    """Refuses requests for names that are not this service's. Pure ASGI, inside of ``RequestMiddleware``."""

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = tuple(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_allowed(context_of(scope).headers.get("host", ""), self._allowed):
            error = MisdirectedRequest("This service does not answer to that host name (VGG_ALLOWED_HOSTS).")
            await problem_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def allowed_hosts(configured: tuple[str, ...], listening_on: str) -> tuple[str, ...]:
    """The names to answer to; none when any will do. On a loopback address they are this machine's own, unless told."""
    if "*" in configured:
        return ()
    if not configured and is_loopback(listening_on):
        return (*LOOPBACK, listening_on.lower())
    return tuple(name.lower() for name in configured)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@lru_cache(maxsize=256)
def is_allowed(header: str, allowed: tuple[str, ...]) -> bool:
    """Whether a ``Host`` header (RFC 9110, 7.2) is an address or one of these names.

    ``*.example.com`` stands for all names below.
    """
    found = HOST.fullmatch(header.lower())
    if found is None:
        return False
    name = found["address"] or found["name"]
    if _is_address(name) or name in allowed:
        return True
    return any(one.startswith("*.") and name.endswith(one[1:]) for one in allowed)
