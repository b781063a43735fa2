"""What the service and a decoder say to each other: a job, and what came of it. Never more than a few kilobytes."""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from app.errors import (
    EvaluationTooLarge,
    InternalError,
    ServiceError,
    TooCostly,
    TooManyPixels,
    UndecodableImage,
    UnsupportedMediaType,
)
from app.image.decode import ImageInfo
from app.image.reader import ReadParts
from app.image.views import Interpolation, Part, Place, Views, Wanted, Whole

MESSAGE_BYTES = 64 * 1024
READY = b"ready"  # a decoder's first word
REFUSALS = {
    error.code: error
    for error in (EvaluationTooLarge, TooCostly, TooManyPixels, UndecodableImage, UnsupportedMediaType)
}


class Job(NamedTuple):
    """Where in shared memory an upload lies, in bytes, and what is wanted of it."""

    start: int
    size: int
    pixels_start: int
    room: int
    """Bytes of memory that are kept for it, should it be a large one; else 0."""
    wanted: Wanted
    most_pixels: int
    """Of all views together."""

    def pack(self) -> bytes:
        return json.dumps((*self[:4], _pack_wanted(self.wanted), self.most_pixels)).encode()

    @classmethod
    def unpack(cls, message: bytes) -> "Job":
        start, size, pixels_start, room, wanted, most_pixels = json.loads(message)
        return cls(start, size, pixels_start, room, _unpack_wanted(wanted), most_pixels)


class Answer(NamedTuple):
    """What came of a job: an image and the seconds it took, a refusal's code and detail, or that there is no room."""

    last: bool
    """The decoder is used up, and ends."""
    needs: int = 0
    """Bytes of memory, more than a decoder may take as it likes: the job is to be sent again when there is room."""
    image: ImageInfo | None = None
    decode_s: float = 0.0
    preprocess_s: float = 0.0
    code: str = ""
    detail: str = ""

    def pack(self) -> bytes:
        return json.dumps(self).encode()

    @classmethod
    def unpack(cls, message: bytes) -> "Answer":
        """Raises ``ValueError`` for what no decoder of ours would say: a picture may have taken it over."""
        try:
            last, needs, image, decode_s, preprocess_s, code, detail = json.loads(message)
            info = ImageInfo(*image) if image is not None else None
            return cls(bool(last), int(needs), info, float(decode_s), float(preprocess_s), str(code), str(detail))
        except (TypeError, RecursionError) as error:
            raise ValueError("not an answer") from error

    @classmethod
    def refuse(cls, error: ServiceError) -> "Answer":
        return cls(last=False, code=error.code, detail=error.detail)

    @property
    def error(self) -> ServiceError | None:
        """The error that is to be raised; of a defect of ours the detail is for the log."""
        if not self.code:
            return None
        if self.code in REFUSALS:
            return REFUSALS[self.code](self.detail)
        return InternalError("The image could not be read; the log says why.")


def account(reading: ReadParts) -> Answer:
    return Answer(False, 0, reading.image, reading.decode_s, reading.preprocess_s)


@lru_cache(maxsize=64)
def _pack_wanted(wanted: Wanted) -> str:
    return json.dumps([_pack(part) for part in wanted.parts])


def _pack(part: Part) -> tuple[object, ...]:
    of_its_own = (part.mirrored,) if isinstance(part, Whole) else (part.crop, part.places)
    return (part.short_side, part.interpolation, *of_its_own)


@lru_cache(maxsize=64)
def _unpack_wanted(wanted: str) -> Wanted:
    return Wanted(tuple(_unpack(*part) for part in json.loads(wanted)))


def _unpack(short_side: int, interpolation: Interpolation, *of_its_own: Any) -> Part:
    if len(of_its_own) == 1:
        return Whole(short_side, interpolation, *of_its_own)
    crop, places = of_its_own
    return Views(short_side, crop, interpolation, tuple(Place(*place) for place in places))
