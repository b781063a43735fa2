"""A declared operation describes the route that runs."""

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from typing_extensions import TypedDict

from app.errors import QueueFull
from app.http.operations import DocumentedRoute, Operation


class Query(BaseModel):
    loud: bool = Field(False, description="In capitals.")


class Inner(TypedDict):
    value: int


class Answer(TypedDict):
    """An answer."""

    inner: Inner


async def greet(request: Request) -> Response:
    """Says hello.

    And nothing more.
    """
    return PlainTextResponse(f"hello {request.scope['route'].path}")


ROUTE = DocumentedRoute(
    "/greet",
    greet,
    Operation(
        name="greet",
        tag="greetings",
        summary="Greet",
        query=Query,
        headers={"X-Name": {"description": "Whom.", "schema": {"type": "string"}}},
        content={"text/plain": {"type": "string"}},
        answer=Answer,
        errors=(QueueFull,),
    ),
)


def test_it_answers_to_post_alone_and_names_itself() -> None:
    client = TestClient(Starlette(routes=[ROUTE]))
    assert client.post("/greet").text == "hello /greet"
    response = client.get("/greet")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_it_describes_itself() -> None:
    operation, definitions = ROUTE.describe()
    assert (operation["operationId"], operation["summary"], operation["tags"]) == ("greet", "Greet", ["greetings"])
    assert operation["description"] == "Says hello.\n\nAnd nothing more."
    assert [(one["name"], one["in"]) for one in operation["parameters"]] == [("loud", "query"), ("X-Name", "header")]
    assert list(operation["responses"]) == ["200", "429"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Answer"}
    assert definitions.keys() == {"Answer", "Inner"}
    assert definitions["Answer"]["description"] == "An answer."
