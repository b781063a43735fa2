"""The wire types, each once: what integrators see in the OpenAPI document, and what handlers build."""

from typing import (
    Annotated,
    Literal,
    NotRequired,  # pydantic reads the standard library's from Python 3.12 on
)

from pydantic import Field
from typing_extensions import TypedDict

from app.image.formats import Format
from app.model.evaluation import Method
from app.model.manifest import Base, Preprocessing

RequestId = Annotated[str, Field(examples=["5f0c9e0a3f0b4b6f9c1e3c1d2a4b5c6d"])]
ClassIndex = Annotated[
    int, Field(ge=0, description="The network's output; for ImageNet in sorted-wnid order.", examples=[207])
]
Wnid = Annotated[str | None, Field(description="WordNet id; null for classes outside WordNet.", examples=["n02099601"])]
LabelEn = Annotated[str, Field(examples=["golden retriever"])]
LabelZh = Annotated[str, Field(examples=["金毛寻回犬"])]
BatchSize = Annotated[int, Field(description="How many images shared the forward pass.", examples=[4])]
Fallback = Annotated[
    bool,
    Field(
        description="True if the service serves its fallback instead of the model it was configured to serve.",
        examples=[False],
    ),
]


Views = Annotated[int, Field(description="How many views of the image were averaged.", examples=[1])]
Evaluated = Annotated[
    Method, Field(description="What was done: with `auto`, what it came to; see `evaluation` of the request.")
]
Known = Annotated[
    bool,
    Field(
        description="False if the image probably shows none of the model's classes: the first probability is below "
        "the threshold that was fitted when the model was trained. Absent for a model without one.",
        examples=[True],
    ),
]


class ModelRef(TypedDict):
    """The model that answered."""

    name: Annotated[str, Field(examples=["vgg16"])]
    version: Annotated[str, Field(examples=["IMAGENET1K_V1"])]
    architecture: Annotated[str, Field(examples=["vgg16"])]
    fallback: Fallback


class Candidate(TypedDict):
    """One of the most probable classes."""

    rank: Annotated[int, Field(ge=1, examples=[1])]
    class_index: ClassIndex
    wnid: Wnid
    label_en: LabelEn
    label_zh: LabelZh
    probability: Annotated[float, Field(ge=0, le=1, examples=[0.91])]
    heatmap: NotRequired[
        Annotated[
            list[list[float]],
            Field(
                description="With `heatmap=true`: rows of columns, the class's score at each place over the mean of "
                "all classes' scores there. Positive values speak for the class, negative ones against it."
            ),
        ]
    ]


class Box(TypedDict):
    """A part of the upright photograph: its edges as fractions of width and height."""

    left: Annotated[float, Field(examples=[0.1406])]
    top: Annotated[float, Field(examples=[0.1875])]
    right: Annotated[float, Field(examples=[0.8438])]
    bottom: Annotated[float, Field(examples=[0.8125])]


class HeatmapGrid(TypedDict):
    """Where the values of each class's `heatmap` lie: rows and columns divide the box evenly."""

    rows: Annotated[int, Field(examples=[10])]
    columns: Annotated[int, Field(examples=[15])]
    box: Box


class ImageInfo(TypedDict):
    """The uploaded image; sizes in pixels, after EXIF rotation."""

    width: Annotated[int, Field(examples=[640])]
    height: Annotated[int, Field(examples=[480])]
    format: Annotated[Format, Field(examples=["JPEG"])]


class TimingMs(TypedDict):
    """Where the time went, in milliseconds; `total` runs from the request's headers."""

    decode: Annotated[float, Field(examples=[3.1])]
    preprocess: Annotated[float, Field(examples=[2.2])]
    queue: Annotated[float, Field(description="Waiting for a batch.", examples=[0.4])]
    inference: Annotated[float, Field(description="The forward pass of the whole batch.", examples=[9.8])]
    total: Annotated[float, Field(examples=[15.9])]


class PredictionResponse(TypedDict):
    """The most probable classes of one image, most probable first."""

    request_id: RequestId
    model: ModelRef
    predictions: list[Candidate]
    known: NotRequired[Known]
    image: ImageInfo
    batch_size: BatchSize
    evaluation: Evaluated
    views: Views
    heatmap: NotRequired[HeatmapGrid]
    timing_ms: TimingMs


class Problem(TypedDict):
    """An error (RFC 9457). `code` is stable and meant for programs; `detail` is meant for people."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["The image cannot be decoded"])]
    status: Annotated[int, Field(examples=[422])]
    detail: Annotated[str, Field(examples=["The JPEG image is truncated or corrupt."])]
    code: Annotated[str, Field(examples=["undecodable_image"])]
    request_id: RequestId


class FileResult(TypedDict):
    """The answer to one of several files."""

    status: Literal[200]
    predictions: list[Candidate]
    known: NotRequired[Known]
    image: ImageInfo
    batch_size: BatchSize
    evaluation: Evaluated
    views: Views
    heatmap: NotRequired[HeatmapGrid]
    timing_ms: TimingMs


class BatchResponse(TypedDict):
    """One result or one problem per file, in the order of the files."""

    request_id: RequestId
    model: ModelRef
    results: list[FileResult | Problem]


class WeightsInfo(TypedDict):
    """The weights that were loaded."""

    source: Annotated[str, Field(examples=["torchvision:VGG16_Weights.IMAGENET1K_V1"])]
    license: Annotated[str | None, Field(examples=["BSD-3-Clause"])]
    sha256: Annotated[str, Field(description="SHA-256 of the loaded file, verified on loading.", examples=["b1f0…"])]


class ModelInfo(ModelRef):
    """A served model."""

    classes: Annotated[int, Field(description="Number of classes.", examples=[1000])]
    preprocessing: Preprocessing
    weights: WeightsInfo
    base: Annotated[
        Base | None,
        Field(description="The model this one was fine-tuned from; otherwise null."),
    ]
    device: Annotated[str, Field(examples=["cuda:0"])]
    precision: Annotated[str, Field(examples=["fp16"])]
    engine: Annotated[
        str,
        Field(
            description="Who computes the convolutions: `eager` (PyTorch), `winograd` or `ncnn`.", examples=["eager"]
        ),
    ]
    max_batch_size: Annotated[int, Field(examples=[16])]
    evaluations: Annotated[list[Method], Field(description="What `evaluation` may ask for, beside `auto`.")]
    heatmap: Annotated[bool, Field(description="Whether there is a `heatmap` of its answers.", examples=[True])]


class UnavailableModel(TypedDict):
    """A model that is there and cannot be served."""

    name: Annotated[str, Field(examples=["catdog"])]
    reason: Annotated[str, Field(examples=["It is not prepared."])]


class ModelList(TypedDict):
    """What is served, and what is not although it was to be."""

    default: Annotated[str, Field(description="The model used when a request names none.", examples=["vgg16"])]
    models: list[ModelInfo]
    unavailable: list[UnavailableModel]


class ClassInfo(TypedDict):
    """A class that a model can answer."""

    class_index: ClassIndex
    wnid: Wnid
    label_en: LabelEn
    label_zh: LabelZh
    synonyms_en: list[str]
    synonyms_zh: Annotated[list[str], Field(examples=[["金毛犬", "金毛"]])]


class FoundLabel(ClassInfo):
    """A class that a search has found."""

    matched: Annotated[str, Field(description="The name, or the WordNet id, by which it was found.", examples=["金毛"])]


class LabelList(TypedDict):
    """The classes that a search has found, the likeliest first."""

    model: ModelRef
    total: Annotated[int, Field(description="How many were found; `labels` has the first of them.", examples=[1])]
    labels: list[FoundLabel]


class ModelDetail(ModelInfo):
    """A served model with every class it can answer."""

    labels: list[ClassInfo]


class Live(TypedDict):
    """The process is up."""

    status: Literal["live"]


class Ready(TypedDict):
    """Traffic may be sent here."""

    status: Literal["ready"]
    model: Annotated[str, Field(description="The default model.", examples=["vgg16"])]
    fallback: Fallback
