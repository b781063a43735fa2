"""What handlers build is what the document describes, in every field and of every model."""

from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from app.errors import QueueFull
from app.http import answers, schemas
from app.http.context import begin
from app.http.problems import problem
from app.image.decode import ImageInfo
from app.model.manifest import Known
from app.serving.pipeline import Prediction, Ranked, Stages
from tests.dummy import DummyNetwork, dummy_model

MODEL = dummy_model(DummyNetwork())
CONTEXT = begin({"headers": []})
PREDICTION = Prediction(
    [Ranked(MODEL.labels[207], 0.9), Ranked(MODEL.labels[1], 0.1)],
    ImageInfo("JPEG", 640, 480),
    4,
    Stages(0.003, 0.002, 0.0004, 0.0098),
)
FITTED = replace(
    MODEL, manifest=MODEL.manifest.model_copy(update={"known": Known(threshold=0.9, coverage=0.95, risk=0.01)})
)
ANSWERS = [
    (schemas.PredictionResponse, answers.prediction_response(CONTEXT, FITTED, PREDICTION)),
    (schemas.FileResult, answers.file_result(CONTEXT, FITTED, PREDICTION)),
    (schemas.PredictionResponse, answers.prediction_response(CONTEXT, MODEL, PREDICTION)),
    (
        schemas.BatchResponse,
        answers.batch_response(
            CONTEXT,
            MODEL,
            [answers.file_result(CONTEXT, MODEL, PREDICTION), problem(QueueFull("full"), CONTEXT.request_id)],
        ),
    ),
    (schemas.ModelInfo, answers.model_info(MODEL)),
    (schemas.ModelDetail, answers.model_detail(MODEL)),
    (schemas.Problem, problem(QueueFull("full"), "id")),
]


@pytest.mark.parametrize(("wire_type", "answer"), ANSWERS, ids=[wire_type.__name__ for wire_type, _ in ANSWERS])
def test_what_is_built_has_its_wire_type(wire_type: type[TypedDict], answer: object) -> None:  # type: ignore[valid-type]
    TypeAdapter(wire_type).validate_python(answer, strict=True, extra="forbid")


def test_ranks_and_names_go_together() -> None:
    answer = answers.prediction_response(CONTEXT, MODEL, PREDICTION)
    assert [(one["rank"], one["class_index"]) for one in answer["predictions"]] == [(1, 207), (2, 1)]
    assert answer["predictions"][0]["label_zh"] == "金毛寻回犬"
    assert answer["timing_ms"]["inference"] == 9.8
    assert answer["timing_ms"]["total"] >= 0


def test_below_the_threshold_of_the_model_an_image_is_not_known() -> None:
    doubtful = PREDICTION._replace(ranked=[Ranked(MODEL.labels[207], 0.8999), Ranked(MODEL.labels[1], 0.1)])
    assert answers.prediction_response(CONTEXT, FITTED, PREDICTION)["known"] is True
    assert answers.prediction_response(CONTEXT, FITTED, doubtful)["known"] is False
    assert answers.file_result(CONTEXT, FITTED, doubtful)["known"] is False
    assert "known" not in answers.prediction_response(CONTEXT, MODEL, doubtful)
