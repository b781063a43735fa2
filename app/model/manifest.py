"""``manifest.json``: everything about a model that is not in its weights.

The service and the scripts read the same file, so that an image is prepared in one way only.
"""

import json
import math
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from app.errors import ManifestInvalid
from app.image.views import Interpolation, Views

NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
Triple = tuple[float, float, float]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Frozen):
    """From a picture to the network's input: resize the short side, crop the centre, normalise per RGB channel."""

    input_size: tuple[Literal[3], PositiveInt, PositiveInt] = Field(description="Channels, height, width.")
    resize: PositiveInt = Field(description="Length of the short side after resizing, in pixels.")
    crop: PositiveInt = Field(description="Side of the square cut from the centre, in pixels.")
    interpolation: Interpolation
    mean: Triple = Field(description="Per channel, of pixel values in 0..1.")
    std: Triple = Field(description="Per channel, of pixel values in 0..1.")

    def centre_crop(self) -> Views:
        """What the network is shown of a photograph, unless more is asked for."""
        return Views(self.resize, self.crop, self.interpolation)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.resize < self.crop:
            raise ValueError("resize must not be smaller than crop")
        if self.input_size != (3, self.crop, self.crop):
            raise ValueError("input_size must be [3, crop, crop]")
        if not all(math.isfinite(value) for value in self.mean) or min(self.std) <= 0:
            raise ValueError("mean must be finite and std positive")
        return self


class WeightsOrigin(_Frozen):
    """Where a model's weights come from; ``sha256`` is that of the published file, in full, where it is known;
    ``sha256_prefix`` is its first digits, where no more of it is published.

    ``source`` is ``torchvision:ENUM.MEMBER``, ``package:MODULE/PATH``, ``file:NAME`` or, of a model that
    ``scripts/finetune.py`` made, ``training:DATA``. ``tensor_names`` is
    ``by_position`` for a file whose tensors have other names than the architecture's but stand in the same order.
    """

    source: str = Field(pattern=r"^(torchvision|package|file|training):.+$")
    sha256: str | None = Field(None, pattern=SHA256_PATTERN)
    sha256_prefix: str | None = Field(None, pattern=r"^[0-9a-f]{8,63}$")
    size_bytes: PositiveInt | None = None
    license: str | None = None
    tensor_names: Literal["by_name", "by_position"] = "by_name"


class Base(_Frozen):
    """The model that a fine-tuned one was made from; it must be prepared, and be the very same."""

    model: str = Field(pattern=NAME_PATTERN)
    weights_sha256: str = Field(pattern=SHA256_PATTERN, description="Of the base's prepared weights.")


class Training(_Frozen):
    """What a fine-tuned model was trained and measured on."""

    split_sha256: str = Field(pattern=SHA256_PATTERN, description="Of `split.csv` beside the manifest.")
    metrics: dict[str, float] = Field(
        description="Measured on pictures that neither taught the model nor chose anything of it; see `report.html`."
    )
    classes: dict[str, dict[str, float]] | None = Field(
        None, description="Precision, recall, F1 and number of pictures of each class, by its English label."
    )


class Known(_Frozen):
    """When a picture counts as one of the model's classes: below ``threshold`` it is said to be none of them."""

    threshold: float = Field(ge=0, le=1, description="Of the first answer's probability.")
    coverage: float = Field(ge=0, le=1, description="Share of held-out pictures at or above it.")
    risk: float = Field(ge=0, le=1, description="Share of wrong answers among those.")
    curve: tuple[Triple, ...] = Field((), description="Other thresholds: (threshold, coverage, risk).")


class Manifest(_Frozen):
    """One model as deployed."""

    name: str = Field(pattern=NAME_PATTERN)
    version: str
    architecture: str = Field(description="A VGG (`vgg11` to `vgg19_bn`, `vgg11_lrn`, `vgg16_c`) or `timm:NAME`.")
    preprocessing: Preprocessing
    temperature: PositiveFloat = Field(1.0, description="Logits are divided by it before the softmax.")
    labels: str = Field(description="Label file, relative to the models folder or to the manifest.")
    weights: WeightsOrigin
    base: Base | None = Field(None, description="With a base, the weights file holds only what differs from it.")
    training: Training | None = None
    known: Known | None = Field(None, description="Fitted on held-out pictures; without it nothing is said unknown.")

    @field_validator("labels")
    @classmethod
    def _stays_inside(cls, labels: str) -> str:
        path = PurePosixPath(labels)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must stay inside the models folder")
        return labels


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises ``ManifestInvalid`` with the file's name and every fault found in it."""
    manifest = parse_manifest(path)
    if manifest.name != path.parent.name:
        raise ManifestInvalid(
            f"{path} names its model {manifest.name!r}; a manifest lies in a folder of its model's name."
        )
    return manifest


def parse_manifest(path: Path) -> Manifest:
    """The same wherever the manifest lies: one that is still to be installed may be in any folder."""
    if path.exists() and not path.is_file():  # a pipe, or a device without end
        raise ManifestInvalid(f"{path} is not a file.")
    try:
        return Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ManifestInvalid(f"{path} is not a valid manifest: {faults}") from error
    except OSError as error:
        raise ManifestInvalid(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:  # JSON's errors, and those of bytes that are no text
        raise ManifestInvalid(f"{path} is not JSON: {error}") from error
