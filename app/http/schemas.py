"""The wire types: what integrators see in the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.model.manifest import Base, Preprocessing
from app.model.registry import ServedModel
from app.serving.pipeline import Prediction, Timing


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class ModelRef(_Wire):
    """The model that answered."""

    name: str = Field(examples=["vgg16"])
    version: str = Field(examples=["IMAGENET1K_V1"])
    architecture: str = Field(examples=["vgg16"])
    fallback: bool = Field(
        description="True when the service put its embedded default in the place of the model it was asked to serve.",
        examples=[False],
    )


class Candidate(_Wire):
    """One of the most probable classes."""

    rank: int = Field(ge=1, examples=[1])
    class_index: int = Field(
        ge=0, description="The network's output; for ImageNet in sorted-wnid order.", examples=[207]
    )
    wnid: str | None = Field(description="WordNet id; null for classes outside WordNet.", examples=["n02099601"])
    label_en: str = Field(examples=["golden retriever"])
    label_zh: str = Field(examples=["金毛寻回犬"])
    probability: float = Field(ge=0, le=1, examples=[0.91])


class ImageInfo(_Wire):
    """The uploaded picture as it was understood; sizes in pixels, after EXIF rotation."""

    width: int = Field(examples=[640])
    height: int = Field(examples=[480])
    format: Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"] = Field(examples=["JPEG"])


class TimingMs(_Wire):
    """Where the time went, in milliseconds; `total` runs from the request's headers."""

    decode: float = Field(examples=[3.1])
    preprocess: float = Field(examples=[2.2])
    queue: float = Field(description="Waiting for a batch.", examples=[0.4])
    inference: float = Field(description="The forward pass of the whole batch.", examples=[9.8])
    total: float = Field(examples=[15.9])


class PredictionResponse(_Wire):
    """The most probable classes of one image, most probable first."""

    request_id: str = Field(examples=["5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"])
    model: ModelRef
    predictions: list[Candidate]
    image: ImageInfo
    batch_size: int = Field(description="How many images shared the forward pass.", examples=[4])
    timing_ms: TimingMs


class Problem(_Wire):
    """An error (RFC 9457). `code` is stable and meant for programs; `detail` is meant for people."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["The image cannot be decoded"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The JPEG image is truncated or corrupt."])
    code: str = Field(examples=["undecodable_image"])
    request_id: str = Field(examples=["5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"])


class FileResult(_Wire):
    """The answer to one of several files."""

    status: Literal[200] = 200
    predictions: list[Candidate]
    image: ImageInfo
    batch_size: int = Field(description="How many images shared the forward pass.", examples=[4])
    timing_ms: TimingMs


class BatchResponse(_Wire):
    """One result or one problem per file, in the order of the files."""

    request_id: str = Field(examples=["5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"])
    model: ModelRef
    results: list[FileResult | Problem]


class WeightsInfo(_Wire):
    source: str = Field(examples=["torchvision:VGG16_Weights.IMAGENET1K_V1"])
    license: str | None = Field(examples=["BSD-3-Clause"])
    sha256: str = Field(description="Of the loaded file, checked at start.", examples=["b1f0…"])


class ModelInfo(ModelRef):
    """A served model."""

    classes: int = Field(description="How many classes it tells apart.", examples=[1000])
    preprocessing: Preprocessing
    weights: WeightsInfo
    base: Base | None = Field(description="What a fine-tuned model was made from, and shares its other tensors with.")
    device: str = Field(examples=["cuda:0"])
    precision: str = Field(examples=["fp16"])
    max_batch_size: int = Field(examples=[16])


class ModelList(_Wire):
    default: str = Field(description="The model used when a request names none.", examples=["vgg16"])
    models: list[ModelInfo]


class ClassInfo(_Wire):
    class_index: int = Field(examples=[207])
    wnid: str | None = Field(examples=["n02099601"])
    label_en: str = Field(examples=["golden retriever"])
    label_zh: str = Field(examples=["金毛寻回犬"])
    synonyms_en: list[str]
    synonyms_zh: list[str] = Field(examples=[["金毛犬", "金毛"]])


class ModelDetail(ModelInfo):
    """A served model with every class it can answer."""

    labels: list[ClassInfo]


class Live(_Wire):
    status: Literal["live"] = "live"


class Ready(_Wire):
    status: Literal["ready"] = "ready"
    model: str = Field(description="The default model.", examples=["vgg16"])
    fallback: bool = Field(description="See `ModelRef.fallback`.", examples=[False])


def model_info(model: ServedModel) -> ModelInfo:
    return ModelInfo(**_reference(model), **_description(model))


def model_detail(model: ServedModel) -> ModelDetail:
    labels = [
        ClassInfo(
            class_index=label.class_index,
            wnid=label.wnid,
            label_en=label.label_en,
            label_zh=label.label_zh,
            synonyms_en=list(label.synonyms_en),
            synonyms_zh=list(label.synonyms_zh),
        )
        for label in model.labels
    ]
    return ModelDetail(**_reference(model), **_description(model), labels=labels)


# The answers to predictions are plain dicts in the form of the wire types, which would take longer to build and check
# than everything else on the way from the socket to the decoder; a test holds the form.


def prediction_answer(request_id: str, prediction: Prediction, timing: Timing) -> dict[str, Any]:
    """In the form of ``PredictionResponse``."""
    return {"request_id": request_id, "model": _reference(prediction.model), **_result(prediction, timing)}


def batch_answer(request_id: str, model: ServedModel, results: list[dict[str, Any]]) -> dict[str, Any]:
    """In the form of ``BatchResponse``."""
    return {"request_id": request_id, "model": _reference(model), "results": results}


def file_result(prediction: Prediction, timing: Timing) -> dict[str, Any]:
    """In the form of ``FileResult``."""
    return {"status": 200, **_result(prediction, timing)}


def _result(prediction: Prediction, timing: Timing) -> dict[str, Any]:
    candidates = [
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
    return {
        "predictions": candidates,
        "image": prediction.picture._asdict(),
        "batch_size": prediction.batch_size,
        "timing_ms": timing.milliseconds(),
    }


def _reference(model: ServedModel) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "architecture": manifest.architecture,
        "fallback": model.fallback,
    }


def _description(model: ServedModel) -> dict[str, Any]:
    weights = model.manifest.weights
    return {
        "classes": len(model.labels),
        "preprocessing": model.manifest.preprocessing,
        "weights": WeightsInfo(source=weights.source, license=weights.license, sha256=model.weights_sha256),
        "base": model.manifest.base,
        "device": model.device,
        "precision": model.precision,
        "max_batch_size": model.max_batch_size,
    }
