import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter

from app import errors
from app.http.schemas import PredictionResponse, Problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running


@pytest.fixture
def document(service: RunningService) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get("/openapi.json").json()
    return found


def test_every_error_of_predict_is_typed_and_has_an_example(document: dict[str, Any]) -> None:
    responses = document["paths"]["/predict"]["post"]["responses"]
    examples = {
        name: example["value"]
        for response in responses.values()
        for name, example in response["content"].get("application/problem+json", {}).get("examples", {}).items()
    }
    all_codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ServiceError)
    }
    elsewhere = {"forbidden", "not_found", "method_not_allowed"}
    assert set(examples) == all_codes - elsewhere
    for code, example in examples.items():
        assert TypeAdapter(Problem).validate_python(example)["code"] == code
    assert "Retry-After" in responses["429"]["headers"]


def test_every_answer_has_a_schema_and_examples(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            (content,) = operation["responses"]["200"]["content"].values()
            assert content["schema"], path
            for status, response in operation["responses"].items():
                if status != "200":
                    assert list(response["content"]) == ["application/problem+json"], path
    fields = document["components"]["schemas"]["Candidate"]["properties"]
    assert fields["label_zh"]["examples"] == ["金毛寻回犬"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names
    assert names <= document["components"]["schemas"].keys()


def test_both_ways_to_send_an_image_are_documented(document: dict[str, Any]) -> None:
    operation = document["paths"]["/predict"]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "image/*", "application/octet-stream"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        *("model", "top_k", "evaluation", "crops", "scales", "heatmap"),
        *("X-Request-Timeout-Ms", "Accept-Language"),
    }


def test_how_many_files_a_batch_takes_is_documented(network: DummyNetwork) -> None:
    with running(dummy_model(network), max_files=3) as service:
        document = service.client.get("/openapi.json").json()
        form = document["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert (form["properties"]["file"]["minItems"], form["properties"]["file"]["maxItems"]) == (1, 3)
        for files, status in ((0, 400), (1, 200), (3, 200), (4, 400)):
            sent = [("file", ("picture", png((1, 2, 3))))] * files or [("other", ("picture", b"x"))]
            assert service.client.post("/predict/batch", files=sent).status_code == status


def test_an_answer_validates_against_the_documented_form(service: RunningService) -> None:
    answer = service.predict(png((1, 2, 3))).content
    TypeAdapter(PredictionResponse).validate_json(answer, strict=True, extra="forbid")


def test_the_page_asks_nobody_else(service: RunningService) -> None:
    page = service.client.get("/docs").text
    assert not re.findall(r"""["'(]\s*(?:https?:)?//""", page)
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(links) == 3
    for link in links:
        assert service.client.get(f"/{link}").status_code == 200
