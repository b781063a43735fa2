"""The way to the hot routes past the router and what FastAPI wraps around it, which cost more than many a handler.

Pure ASGI, innermost of the application's own; the routes stay where they are for every other method.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import ServiceError
from app.http.operations import DocumentedRoute
from app.http.problems import problem_response


class Shortcut:
    """``POST`` to one of ``routes`` goes straight to its endpoint."""

    def __init__(self, app: ASGIApp, routes: Sequence[DocumentedRoute]) -> None:
        self._app = app
        self._routes = {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            response = await route.endpoint(Request(scope, receive, send))
        except ServiceError as error:
            response = problem_response(error, scope)
        await response(scope, receive, send)
