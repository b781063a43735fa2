import random

import pytest

from app.errors import ModelError
from app.training.inspection import UsableImage
from app.training.split import make_split

CLASSES = ("cat", "dog")


def pictures(cats: int = 40, dogs: int = 60, part: str | None = None) -> list[UsableImage]:
    names = [("cat", n) for n in range(cats)] + [("dog", n) for n in range(dogs)]
    return [UsableImage(f"{kind}.{n}.jpg", kind, part, f"{kind}{n}".ljust(64, "0"), "") for kind, n in names]


def test_each_class_is_divided_by_the_same_shares() -> None:
    counts = make_split(pictures(), CLASSES, 620, 0.2, 0.1).counts()
    assert counts["train"] == {"cat": 28, "dog": 42}
    assert counts["validation"] == counts["calibration"] == counts["test"] == {"cat": 4, "dog": 6}


def test_the_order_of_the_files_does_not_matter_and_the_seed_does() -> None:
    shuffled = pictures()
    shuffled.reverse()
    split = make_split(pictures(), CLASSES, 620, 0.2)
    assert make_split(shuffled, CLASSES, 620, 0.2) == split
    assert make_split(pictures(), CLASSES, 621, 0.2).sha256 != split.sha256


def test_every_picture_is_in_one_part_and_one_more_dog_moves_no_cat() -> None:
    split = make_split(pictures(), CLASSES, 620, 0.2)
    assert sorted(one.path for one in split.samples) == sorted(one.path for one in pictures())
    assert [one.index for one in split.samples] == list(range(100))
    more = make_split(pictures(dogs=65), CLASSES, 620, 0.2)
    cats = [(one.path, one.part) for one in split.samples if one.class_name == "cat"]
    assert [(one.path, one.part) for one in more.samples if one.class_name == "cat"] == cats


def test_the_process_wide_generator_is_left_alone() -> None:
    before = random.getstate()
    make_split(pictures(), CLASSES, 620, 0.2)
    assert random.getstate() == before


def test_folders_that_say_where_a_picture_belongs_are_believed() -> None:
    held_out = [
        UsableImage(f"val/{one.path}", one.class_name, "validation", f"v{one.sha256}"[:64], "")
        for one in pictures(6, 6)
    ]
    split = make_split(pictures(part="train") + held_out, CLASSES, 620, 0.2)
    assert {one.path.startswith("val/") for one in split.part("validation", "calibration")} == {True}
    assert not any(one.path.startswith("val/") for one in split.part("train"))


def test_too_few_pictures_are_an_error_that_names_the_class() -> None:
    with pytest.raises(ModelError, match="'dog' has too few usable images to train on and to validate: 3"):
        make_split(pictures(dogs=3), CLASSES, 620, 0.2)
