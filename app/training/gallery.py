"""Pictures on the report's page, each small and with a line below it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from app.image.reader import Reader
from app.training.split import Sample

LARGEST = 24
THUMBNAIL = 200


def gallery(pictures: Sequence[tuple[Sample, str]], data: Path, reader: Reader) -> str:
    """The first of them; the words are HTML."""
    if not pictures:
        return "<p>None.</p>"
    figures = "".join(_figure(sample, words, data, reader) for sample, words in pictures[:LARGEST])
    return f"<div class='gallery'>{figures}</div>"


def _figure(sample: Sample, words: str, data: Path, reader: Reader) -> str:
    image = reader.photograph((data / sample.path).read_bytes(), THUMBNAIL)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    source = base64.b64encode(buffer.getvalue()).decode()
    return (
        f"<figure><img alt='' src='data:image/jpeg;base64,{source}'>"
        f"<span class='path'>{escape(sample.path)}</span><br>{words}</figure>"
    )
