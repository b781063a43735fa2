"""Errors on the wire: the one place where a ``ServiceError`` becomes a response (RFC 9457), and its documentation."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.errors import InternalError, InvalidParameter, MalformedRequest, MethodNotAllowed, NotFound, ServiceError
from app.http import chinese
from app.http.context import context_of, note, outcome_of
from app.http.language import Language
from app.http.schemas import Problem

MEDIA_TYPE = "application/problem+json"
EXAMPLE_ID = "5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"


def problem_response(error: ServiceError, scope: Scope) -> Response:
    """The response for an error; also notes its code for the log and the metrics."""
    note(scope, replace(outcome_of(scope), code=error.code))
    context = context_of(scope)
    worded = wording(error, context.language)
    body = to_json(problem(error, context.request_id, worded))
    return Response(body, error.status, headers_of(error, worded), MEDIA_TYPE)


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


def wording(error: ServiceError, language: Language) -> chinese.Wording:
    """The error's title and detail as somebody reads them who prefers that language."""
    return chinese.wording(error) if language == "zh" else chinese.Wording(error.title, error.detail, "en")


def headers_of(error: ServiceError, worded: chinese.Wording) -> dict[str, str]:
    """The error's own headers, and what they have to say about the language."""
    return error.headers | {"Content-Language": worded.language, "Vary": "Accept-Language"}


def problem(error: ServiceError, request_id: str, worded: chinese.Wording | None = None) -> Problem:
    """The error in its form on the wire, in English if nothing else is given."""
    title, detail, _ = worded or wording(error, "en")
    return {
        "type": "about:blank",
        "title": title,
        "status": error.status,
        "detail": detail,
        "code": error.code,
        "request_id": request_id,
    }


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # registered for nothing else
    return problem_response(error, request.scope)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    return problem_response(InvalidParameter(_in_words(error.errors()[0])), request.scope)


def _in_words(fault: Mapping[str, Any]) -> str:
    """What is wrong with a parameter: ours, never the library's words."""
    name, bounds = str(fault["loc"][-1])[:40], fault.get("ctx", {})
    match fault["type"]:
        case "missing" | "string_too_short":
            said = f"{name} is missing."
        case "extra_forbidden":
            said = f"There is no parameter {name!r} here."
        case "string_too_long":
            said = f"{name} may have at most {bounds['max_length']} characters."
        case "greater_than_equal":
            said = f"{name} must be at least {bounds['ge']}."
        case "less_than_equal":
            said = f"{name} must be at most {bounds['le']}."
        case "int_parsing":
            said = f"{name} must be a whole number."
        case _:
            said = f"{name} is not valid."
    return said


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
