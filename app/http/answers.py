"""Answers in their form on the wire.

They are plain dicts of the wire types: a type checker holds their form, and building one costs next to nothing.
"""

from weakref import WeakKeyDictionary

from pydantic_core import to_json
from typing_extensions import TypedDict

from app.http.context import RequestContext, milliseconds
from app.http.schemas import (
    BatchResponse,
    Candidate,
    ClassInfo,
    FileResult,
    ImageInfo,
    ModelDetail,
    ModelInfo,
    ModelList,
    ModelRef,
    PredictionResponse,
    Problem,
    TimingMs,
)
from app.model.labels import Label
from app.model.registry import Registry, ServedModel
from app.serving.pipeline import Prediction

_details: WeakKeyDictionary[ServedModel, bytes] = WeakKeyDictionary()


class _Answer(TypedDict):
    """What the answers to a single image and to one of several have in common."""

    predictions: list[Candidate]
    image: ImageInfo
    batch_size: int
    timing_ms: TimingMs


def prediction_response(context: RequestContext, model: ServedModel, prediction: Prediction) -> PredictionResponse:
    return {"request_id": context.request_id, "model": model_ref(model), **_answer(context, prediction)}


def batch_response(context: RequestContext, model: ServedModel, results: list[FileResult | Problem]) -> BatchResponse:
    return {"request_id": context.request_id, "model": model_ref(model), "results": results}


def file_result(context: RequestContext, prediction: Prediction) -> FileResult:
    return {"status": 200, **_answer(context, prediction)}


def _answer(context: RequestContext, prediction: Prediction) -> _Answer:
    image, stages = prediction.image, prediction.stages
    return {
        "predictions": _candidates(prediction),
        "image": {"width": image.width, "height": image.height, "format": image.format},
        "batch_size": prediction.batch_size,
        "timing_ms": {
            "decode": milliseconds(stages.decode),
            "preprocess": milliseconds(stages.preprocess),
            "queue": milliseconds(stages.queue),
            "inference": milliseconds(stages.inference),
            "total": milliseconds(context.seconds()),
        },
    }


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
        "max_batch_size": model.max_batch_size,
        "served_since": model.served_since,
    }


def model_detail_json(model: ServedModel) -> bytes:
    """As ``model_detail``, written once for each model: a thousand classes take milliseconds, whoever asks."""
    found = _details.get(model)
    if found is None:
        found = _details[model] = to_json(model_detail(model))
    return found


def model_detail(model: ServedModel) -> ModelDetail:
    return {**model_info(model), "labels": [_class_info(label) for label in model.labels]}


def model_list(registry: Registry) -> ModelList:
    return {
        "default": registry.default,
        "models": [model_info(model) for model in registry.all()],
        "unavailable": [{"name": name, "reason": reason} for name, reason in sorted(registry.unavailable.items())],
    }


def _class_info(label: Label) -> ClassInfo:
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
