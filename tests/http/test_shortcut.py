"""The hot routes, reached without the router, behave as the router's do."""

import pytest

from app.serving.pipeline import Pipeline
from tests.contract import check_problem
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import RunningService, running

RED = png((200, 10, 10))


def test_other_methods_and_paths_are_the_routers(service: RunningService) -> None:
    check_problem(service.client.get("/predict"), 405, "method_not_allowed")
    assert service.client.get("/predict").headers["allow"] == "POST"
    check_problem(service.client.post("/predict/"), 404, "not_found")
    check_problem(service.client.post("/predict/other"), 404, "not_found")
    assert service.predict(RED).status_code == 200
    assert service.metric('requests_total{code="ok",route="/predict"}') == 1


def test_a_defect_is_said_and_shown_to_nobody(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise LookupError("secret")

    monkeypatch.setattr(Pipeline, "predict", broken)
    problem = check_problem(service.predict(RED), 500, "internal")
    assert "secret" not in str(problem)


def test_pages_of_other_origins_are_answered_here_too(network: DummyNetwork) -> None:
    with running(dummy_model(network), cors_origins="https://page.example") as service:
        origin = {"origin": "https://page.example"}
        answer = service.client.post("/predict", files={"file": RED}, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        refused = service.client.post("/predict", content=b"", headers=origin)
        assert refused.headers["access-control-allow-origin"] == "https://page.example"
