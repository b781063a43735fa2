"""Errors on the wire: the one place where a ``ServiceError`` becomes a response (RFC 9457), and its documentation."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.errors import InternalError, InvalidParameter, MalformedRequest, MethodNotAllowed, NotFound, ServiceError
from app.http.context import context_of, note, outcome_of
from app.http.schemas import Problem

MEDIA_TYPE = "application/problem+json"
EXAMPLE_ID = "5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"


def problem_response(error: ServiceError, scope: Scope) -> Response:
    """The response for an error; also notes its code for the log and the metrics."""
    note(scope, replace(outcome_of(scope), code=error.code))
    body = to_json(problem(error, context_of(scope).request_id))
    return Response(body, error.status, error.headers, MEDIA_TYPE)


def install_handlers(app: FastAPI) -> None:
    """Every error that FastAPI or starlette raises itself leaves in the contract's form."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


def document(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` for these errors: typed, with an example for each code."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        response = responses.setdefault(
            error.status,
            {
                "description": "; ".join(one.title for one in errors if one.status == error.status) + ".",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        example = problem(error(error.title + "."), EXAMPLE_ID)
        response["content"][MEDIA_TYPE]["examples"][error.code] = {"summary": error.title, "value": example}
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            response["headers"] = {
                "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer"}}
            }
    return responses


def problem(error: ServiceError, request_id: str) -> Problem:
    """The error in its form on the wire."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # registered for nothing else
    return problem_response(error, request.scope)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    names = ", ".join(sorted({str(fault["loc"][-1]) for fault in error.errors()}))
    return problem_response(InvalidParameter(f"Not valid: {names}."), request.scope)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    return problem_response(_translate(error), request.scope)


def _translate(error: HTTPException) -> ServiceError:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("There is nothing at this path; the API is described at /docs.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed("This path does not support that method.", error.headers)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return MalformedRequest("The request is malformed.")
    return InternalError("An internal error occurred.")
