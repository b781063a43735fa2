"""The attacks of every format, by name, the same on every run."""

from collections.abc import Callable, Iterator
from functools import partial

from tests.system.attacks import isomedia, jpeg, metadata, png, simple, tiff, webp

FORMATS: dict[str, Callable[[int], Iterator[tuple[str, bytes]]]] = {
    "jpeg": jpeg.attacks,
    "png": png.attacks,
    "gif": simple.gifs,
    "bmp": simple.bmps,
    "tiff": tiff.attacks,
    "webp": webp.attacks,
    "avif": partial(isomedia.attacks, image_format="AVIF"),
    "heif": partial(isomedia.attacks, image_format="HEIF"),
    "metadata": metadata.attacks,
}


# With a hundred million pixels allowed, as many as a square may have.
LARGE_SIDE = 9_999


def attacks(side: int = LARGE_SIDE) -> Iterator[tuple[str, bytes]]:
    """Each attack's name, which begins with its format's, and its bytes; pictures that pass for large ones are squares
    with that ``side``."""
    for room, attacks_of_it in FORMATS.items():
        for name, data in attacks_of_it(side):
            yield f"{room}-{name}", data
