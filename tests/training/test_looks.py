import io

import numpy as np
import pytest
from PIL import Image

from app.training.looks import Look, alike_pairs, alike_to, group_alike
from tests.pictures import photograph


def encoded(image: Image.Image, form: str, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=quality)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(width * share), int(height * share), int(width * (1 - share)), int(height * (1 - share))))


def copies(image: Image.Image) -> list[Image.Image]:
    half = image.resize((image.width // 2, image.height // 2))
    brighter = image.point(lambda value: min(255, int(value * 1.15)))
    return [encoded(image, "JPEG", 40), encoded(image, "WEBP", 60), half, cropped(image, 0.02), brighter]


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [photograph(kind) for kind in ("chelsea", "coffee", "rocket", "astronaut")]


def test_copies_are_found_and_nothing_else(photographs: list[Image.Image]) -> None:
    looks = [Look.of(one) for image in photographs for one in (image, *copies(image))]
    size = 1 + len(copies(photographs[0]))
    assert group_alike(looks) == [place // size * size for place in range(len(looks))]


def test_flat_pictures_of_different_colours_are_not_alike() -> None:
    flat = [Look.of(Image.new("RGB", (60, 60), color)) for color in ((200, 0, 0), (0, 0, 200), (202, 1, 0))]
    assert list(alike_pairs(flat)) == [(0, 2)]


def test_a_chain_of_copies_is_one_group_however_many_there_are() -> None:
    """More than are compared at once; each differs from the one before it in four bits."""
    chain = [Look((1 << min(4 * n, 64)) - 1 & (1 << 64) - 1, bytes(192)) for n in range(10)]
    generator = np.random.default_rng(0)
    others = [
        Look(int.from_bytes(generator.bytes(8), "big"), generator.integers(0, 256, 192, np.uint8).tobytes())
        for _ in range(700)
    ]
    groups = group_alike([*chain[:5], *others, *chain[5:]])
    assert {groups[place] for place in (*range(5), *range(705, 710))} == {0}
    assert groups[5:705] == list(range(5, 705))
    assert alike_to([chain[1], others[3]], [chain[0], others[4]]) == [True, False]
    assert alike_to([], [chain[0]]) == []


def test_a_look_can_be_written_down() -> None:
    look = Look.of(photograph("chelsea"))
    assert Look.parse(str(look)) == look
