from pathlib import Path

import pytest

from app.errors import ModelError
from app.training.data import list_images, read_exclusions


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_kaggles_names_in_any_case_and_format(tmp_path: Path) -> None:
    touch(tmp_path, "cat.0.jpg", "Cat.1.JPG", "dog_2.jpeg", "DOG.3.png", "cat4.webp", "dog-5.bmp")
    listing = list_images(tmp_path)
    assert [(one.path, one.class_name) for one in listing.files] == [
        ("Cat.1.JPG", "cat"),
        ("DOG.3.png", "dog"),
        ("cat.0.jpg", "cat"),
        ("cat4.webp", "cat"),
        ("dog-5.bmp", "dog"),
        ("dog_2.jpeg", "dog"),
    ]
    assert not listing.refused


@pytest.mark.parametrize("name", ["1.jpg", "._cat.0.jpg", "caterpillar.jpg", "cat.jpg", "hotdog.1.jpg", "cat.1.txt"])
def test_what_cannot_be_labelled_is_refused_by_name(tmp_path: Path, name: str) -> None:
    listing = list_images(touch(tmp_path, "cat.0.jpg", "dog.0.jpg", name))
    assert [one.path for one in listing.refused] == [name]
    assert len(listing.files) == 2


def test_a_folder_a_class(tmp_path: Path) -> None:
    touch(
        tmp_path, "train/Tulip/a.jpg", "train/rose/b.jpg", "train/rose/deep/c.jpg", "train/loose.jpg", "val/rose/d.jpg"
    )
    listing = list_images(tmp_path)
    assert listing.classes == ("rose", "tulip")
    parts = {one.path: (one.class_name, one.part) for one in listing.files}
    assert parts["val/rose/d.jpg"] == ("rose", "validation")
    assert parts["train/rose/deep/c.jpg"] == ("rose", "train")
    assert [one.path for one in listing.refused] == ["train/loose.jpg"]


def test_a_training_folder_alone_is_divided_by_the_split(tmp_path: Path) -> None:
    listing = list_images(touch(tmp_path, "train/cat.0.jpg", "train/dog.0.jpg", "elsewhere/cat.1.jpg"))
    assert [(one.path, one.part) for one in listing.files] == [("train/cat.0.jpg", None), ("train/dog.0.jpg", None)]


def test_a_list_of_files_to_exclude(tmp_path: Path) -> None:
    touch(tmp_path, "a/cat.0.jpg", "a/x.jpg", "b/dog.0.jpg", "b/y.jpg")
    (tmp_path / "list").write_text("a/x.jpg  # no cat in it\n\n# whole line\ny.jpg\n")
    listing = list_images(tmp_path, read_exclusions(tmp_path / "list"))
    assert [one.path for one in listing.files] == ["a/cat.0.jpg", "b/dog.0.jpg"]
    assert {one.path: one.reason for one in listing.refused}["b/y.jpg"] == "on the --exclude list"
    assert read_exclusions(None) == []
    with pytest.raises(ModelError, match="no file"):
        read_exclusions(tmp_path / "nothing")


@pytest.mark.parametrize("names", [[], ["cat.0.jpg"], ["1.jpg", "2.jpg"]])
def test_fewer_than_two_classes_are_an_error_with_the_counts(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ModelError, match="at least two classes"):
        list_images(touch(tmp_path, *names))
    with pytest.raises(ModelError, match="no folder"):
        list_images(tmp_path / "nowhere")


def test_the_folders_for_training_and_measuring_are_known_in_any_case(tmp_path: Path) -> None:
    """``Train`` and ``Val`` were two classes."""
    touch(tmp_path, *(f"{part}/{kind}/1.jpg" for part in ("Train", "VAL", "Testing") for kind in ("cat", "dog")))
    listing = list_images(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert {one.path.split("/")[0]: one.part for one in listing.files} == {
        "Train": "train",
        "VAL": "validation",
        "Testing": "test",
    }


def test_nothing_beside_those_folders_vanishes(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/3.jpg", "extra/cat/2.jpg", "cat.7.jpg")
    refused = {one.path: one.reason for one in list_images(tmp_path).refused}
    assert refused.keys() == {"test/3.jpg", "extra/cat/2.jpg", "cat.7.jpg"}
    assert refused["extra/cat/2.jpg"] == "beside test and train, in none of them"


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    assert list_images(touch(tmp_path, "test/1.jpg", "control/1.jpg")).classes == ("control", "test")


def test_linked_class_folders_are_read_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.jpg")
    data = touch(tmp_path / "data", "dog/b.jpg")
    (data / "cat").symlink_to(tmp_path / "elsewhere")
    (data / "dog" / "again").symlink_to(data)
    assert [(one.path, one.class_name) for one in list_images(data).files] == [
        ("cat/a.jpg", "cat"),
        ("dog/b.jpg", "dog"),
    ]


@pytest.mark.parametrize("suffix", ["HEIC", "heif", "avif", "tif", "tiff", "gif"])
def test_every_format_of_the_service_can_be_trained_on(tmp_path: Path, suffix: str) -> None:
    assert len(list_images(touch(tmp_path, f"cat/a.{suffix}", f"dog.3.{suffix}", "dog/b.jpg")).files) == 3
