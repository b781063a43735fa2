import hashlib
import random

import numpy as np
import pytest

from app.errors import ModelError
from app.training.data import Folder
from app.training.inspection import UsableImage
from app.training.lineage import KnownPicture
from app.training.looks import Look
from app.training.split import Shares, Split, make_split

CLASSES = ("cat", "dog")
SHARES = Shares(0.2, 0.1)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def look(number: int, kind: str = "cat") -> Look:
    generator = np.random.default_rng([number, kind == "dog"])
    return Look(int.from_bytes(generator.bytes(8), "big"), generator.integers(0, 256, 192).astype(np.uint8).tobytes())


def nearly(other: Look) -> Look:
    return Look(other.bits ^ 0b1011, other.colours)


def picture(kind: str, number: int, part: Folder | None = None) -> UsableImage:
    return UsableImage(f"{kind}.{number}.jpg", kind, part, digest(f"{kind}{number}"), look(number, kind))


def pictures(cats: int = 200, dogs: int = 300, part: Folder | None = None) -> list[UsableImage]:
    return [picture(kind, n, part) for kind, count in (("cat", cats), ("dog", dogs)) for n in range(count)]


def copy_of(image: UsableImage, name: str, part: Folder | None = None) -> UsableImage:
    return UsableImage(name, image.class_name, part, digest(name), nearly(image.look))


def split(images: list[UsableImage], shares: Shares = SHARES, known: tuple[KnownPicture, ...] = ()) -> Split:
    return make_split(images, CLASSES, 620, shares, known)[0]


def parts(found: Split) -> dict[str, str]:
    return {one.path: one.part for one in found.samples}


def test_each_class_is_divided_by_about_the_same_shares() -> None:
    counts = split(pictures()).counts()
    for kind, count in (("cat", 200), ("dog", 300)):
        assert counts["train"][kind] == pytest.approx(0.7 * count, rel=0.1)
        for part, share in (("validation", 0.1), ("calibration", 0.1), ("test", 0.1)):
            assert counts[part][kind] == pytest.approx(share * count, abs=12)  # type: ignore[index]


def test_the_order_of_the_files_does_not_matter_and_the_seed_does() -> None:
    shuffled = pictures()
    shuffled.reverse()
    assert split(shuffled) == split(pictures())
    assert make_split(pictures(), CLASSES, 621, SHARES)[0].sha256 != split(pictures()).sha256


def test_more_pictures_move_none_and_fewer_neither() -> None:
    before = parts(split(pictures()))
    assert sorted(before) == sorted(one.path for one in pictures())
    more, fewer = parts(split(pictures(220, 320))), parts(split(pictures(150, 250)))
    assert {path: more[path] for path in before} == before
    assert fewer == {path: before[path] for path in fewer}


def test_copies_lie_in_one_part() -> None:
    images = pictures()
    images += [copy_of(image, f"{image.class_name}.{1000 + n}.jpg") for n, image in enumerate(images[::10])]
    found = split(images)
    by_group: dict[str, set[str]] = {}
    for one in found.samples:
        by_group.setdefault(one.group, set()).add(one.part)
    assert found.alike() == [2] * 50
    assert {len(each) for each in by_group.values()} == {1}


def test_an_earlier_split_goes_before_the_draw_for_copies_too() -> None:
    before = split(pictures())
    moved = [
        KnownPicture(one.sha256, "test" if one.part == "train" else "train", one.look) for one in before.samples[:20]
    ]
    found = parts(split(pictures(), known=tuple(moved)))
    assert [found[one.path] for one in before.samples[:20]] == [one.part for one in moved]
    assert {path: found[path] for path in list(parts(before))[20:]} == dict(list(parts(before).items())[20:])
    # The picture itself is gone, a copy of it has come.
    held_out = picture("cat", 5)
    history = (KnownPicture(held_out.sha256, "test", held_out.look),)
    images = [*(one for one in pictures() if one != held_out), copy_of(held_out, "cat.999.jpg")]
    assert parts(split(images, known=history))["cat.999.jpg"] == "test"


def test_what_looks_like_a_held_out_picture_is_not_trained_on() -> None:
    kept, held_out = pictures(part="train"), [copy_of(picture("cat", 3), "val/cat.3.jpg", "validation")]
    held_out += [
        UsableImage(f"val/dog.{n}.jpg", "dog", "validation", digest(f"v{n}"), look(n + 5000, "dog")) for n in range(9)
    ]
    held_out += [
        UsableImage(f"val/cat.{n}.jpg", "cat", "validation", digest(f"w{n}"), look(n + 5000)) for n in range(9)
    ]
    found, refused = make_split(kept + held_out, CLASSES, 620, Shares(0.2, 0))
    assert "cat.3.jpg" not in parts(found)
    assert [one.path for one in refused] == ["cat.3.jpg"]
    assert "held out" in refused[0].reason
    assert {part for path, part in parts(found).items() if path.startswith("val/")} == {"validation", "calibration"}
    # With nothing to choose by it, a folder for validation is a test.
    only = make_split(kept + held_out, CLASSES, 620, Shares(0, 0))[0]
    assert {part for path, part in parts(only).items() if path.startswith("val/")} == {"test"}
    # --test is taken from what is for training, and leaves the folder alone.
    tested = make_split(kept + held_out, CLASSES, 620, Shares(0.2, 0.3))[0]
    assert 100 < len(tested.part("test")) < 200
    assert not any(one.path.startswith("val/") for one in tested.part("test"))


def test_the_process_wide_generator_is_left_alone() -> None:
    before = random.getstate()
    split(pictures(20, 20))
    assert random.getstate() == before


def test_a_small_class_is_in_every_part_that_is_needed() -> None:
    for count in (3, 4, 6):
        counts = split(pictures(dogs=count)).counts()
        assert all(counts[part]["dog"] for part in ("train", "validation", "calibration"))


def test_too_few_pictures_are_an_error_that_names_the_class() -> None:
    images = [*pictures(dogs=2), copy_of(picture("dog", 0), "dog.77.jpg")]
    with pytest.raises(ModelError, match="'dog' has too few usable images that do not look alike: 2"):
        split(images)
