"""Answers in their form on the wire.

They are plain dicts of the wire types: a type checker holds their form, and building one costs next to nothing.
"""

from typing import NotRequired
from weakref import WeakKeyDictionary

from pydantic_core import to_json
from typing_extensions import TypedDict

from app.http.context import RequestContext, milliseconds
from app.http.schemas import (
    BatchResponse,
    Box,
    Candidate,
    ClassInfo,
    FileResult,
    HeatmapGrid,
    ImageInfo,
    ModelDetail,
    ModelInfo,
    ModelList,
    ModelRef,
    PredictionResponse,
    Problem,
    TimingMs,
)
from app.model.evaluation import METHODS, Heatmap, Method
from app.model.labels import Label
from app.model.registry import Registry, ServedModel
from app.serving.pipeline import Prediction

_details: WeakKeyDictionary[ServedModel, bytes] = WeakKeyDictionary()


class _Answer(TypedDict):
    """What the answers to a single image and to one of several have in common."""

    predictions: list[Candidate]
    known: NotRequired[bool]
    image: ImageInfo
    batch_size: int
    evaluation: Method
    views: int
    heatmap: NotRequired[HeatmapGrid]
    timing_ms: TimingMs


def prediction_response(context: RequestContext, model: ServedModel, prediction: Prediction) -> PredictionResponse:
    return {"request_id": context.request_id, "model": model_ref(model), **_answer(context, model, prediction)}


def batch_response(context: RequestContext, model: ServedModel, results: list[FileResult | Problem]) -> BatchResponse:
    return {"request_id": context.request_id, "model": model_ref(model), "results": results}


def file_result(context: RequestContext, model: ServedModel, prediction: Prediction) -> FileResult:
    return {"status": 200, **_answer(context, model, prediction)}


def _answer(context: RequestContext, model: ServedModel, prediction: Prediction) -> _Answer:
    image, stages = prediction.image, prediction.stages
    answer: _Answer = {
        "predictions": _candidates(prediction),
        "image": {"width": image.width, "height": image.height, "format": image.format},
        "batch_size": prediction.batch_size,
        "evaluation": prediction.method,
        "views": prediction.views,
        "timing_ms": {
            "decode": milliseconds(stages.decode),
            "preprocess": milliseconds(stages.preprocess),
            "queue": milliseconds(stages.queue),
            "inference": milliseconds(stages.inference),
            "total": milliseconds(context.seconds()),
        },
    }
    if prediction.heatmap is not None:
        _add_heatmap(answer, prediction.heatmap)
    if model.manifest.known is not None:
        answer["known"] = prediction.ranked[0].probability >= model.manifest.known.threshold
    return answer


def _add_heatmap(answer: _Answer, heatmap: Heatmap) -> None:
    """The grid once, and its values with each class."""
    left, upper, right, lower = heatmap.box
    rows, columns = len(heatmap.values[0]), len(heatmap.values[0][0])
    box: Box = {"left": left, "top": upper, "right": right, "bottom": lower}
    answer["heatmap"] = {"rows": rows, "columns": columns, "box": box}
    for candidate, values in zip(answer["predictions"], heatmap.values, strict=True):
        candidate["heatmap"] = values


def model_ref(model: ServedModel) -> ModelRef:
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "architecture": manifest.architecture,
        "fallback": model.fallback,
    }


def model_info(model: ServedModel) -> ModelInfo:
    manifest = model.manifest
    return {
        **model_ref(model),
        "classes": len(model.labels),
        "preprocessing": manifest.preprocessing,
        "weights": {
            "source": manifest.weights.source,
            "license": manifest.weights.license,
            "sha256": model.weights_sha256,
        },
        "base": manifest.base,
        "device": model.device,
        "precision": model.precision,
        "engine": model.engine,
        "max_batch_size": model.max_batch_size,
        "evaluations": [method for method in METHODS if model.dense or "dense" not in method],
        "heatmap": model.heatmap,
    }


def model_detail_json(model: ServedModel) -> bytes:
    """As ``model_detail``, written once for each model: a thousand classes take milliseconds, whoever asks."""
    found = _details.get(model)
    if found is None:
        found = _details[model] = to_json(model_detail(model))
    return found


def model_detail(model: ServedModel) -> ModelDetail:
    return {**model_info(model), "labels": [class_info(label) for label in model.labels]}


def model_list(registry: Registry) -> ModelList:
    return {
        "default": registry.default,
        "models": [model_info(model) for model in registry.all()],
        "unavailable": [{"name": name, "reason": reason} for name, reason in sorted(registry.unavailable.items())],
    }


def class_info(label: Label) -> ClassInfo:
    return {
        "class_index": label.class_index,
        "wnid": label.wnid,
        "label_en": label.label_en,
        "label_zh": label.label_zh,
        "synonyms_en": list(label.synonyms_en),
        "synonyms_zh": list(label.synonyms_zh),
    }


def _candidates(prediction: Prediction) -> list[Candidate]:
    return [
        {
            "rank": rank,
            "class_index": label.class_index,
            "wnid": label.wnid,
            "label_en": label.label_en,
            "label_zh": label.label_zh,
            "probability": probability,
        }
        for rank, (label, probability) in enumerate(prediction.ranked, start=1)
    ]
