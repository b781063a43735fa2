"""The fuzzers' question, asked of a few thousand inputs that are the same each time."""

import io
import random
from collections import Counter

import pytest
from PIL import Image, UnidentifiedImageError

from tests.system.fuzzing.holds import check_everything
from tests.system.fuzzing.mutations import mutate, repair, truncations
from tests.system.fuzzing.seeds import FORMATS, seeds

SEEDS = seeds()
ROUNDS = 12


@pytest.mark.parametrize("name", SEEDS)
def test_every_seed_is_answered_alike_by_both_paths(name: str) -> None:
    answer = check_everything(SEEDS[name])
    if name == "TIFF-LAB":  # a picture, but of a kind that is refused
        assert answer == "undecodable_image"
    else:
        assert answer.split()[0] == name.partition("-")[0]


@pytest.mark.parametrize("image_format", FORMATS)
def test_truncated_at_every_interesting_place(image_format: str) -> None:
    answers: Counter[str] = Counter()
    for name, data in SEEDS.items():
        if name.startswith(image_format.upper()):
            answers += Counter(check_everything(cut) for cut in truncations(data))
    assert answers["undecodable_image"] > answers.total() / 3
    assert answers["unsupported_media_type"] > 0


@pytest.mark.parametrize("image_format", FORMATS)
def test_damaged_in_every_way(image_format: str) -> None:
    chance = random.Random(image_format)
    others = list(SEEDS.values())
    answers: Counter[str] = Counter()
    for name, data in SEEDS.items():
        if name.startswith(image_format.upper()):
            for _ in range(ROUNDS if len(data) < 5000 else ROUNDS // 3):
                answers[check_everything(mutate(data, chance.choice(others), chance)).split()[0]] += 1
    assert answers["undecodable_image"] > 0  # the damage does damage
    assert answers[image_format.upper()] > 0  # and not only damage that is seen at once


def test_a_repaired_png_is_read_where_the_damaged_one_is_not() -> None:
    damaged = SEEDS["PNG-RGB"].replace(b"\x08\x02\x00\x00\x00", b"\x08\x02\x00\x00\x01", 1)  # interlaced, says the head
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(damaged))
    assert Image.open(io.BytesIO(repair(damaged))).info["interlace"] == 1
    assert repair(SEEDS["PNG-RGB"]) == SEEDS["PNG-RGB"]
