import csv
from pathlib import Path

import pytest
from torchvision.models import VGG16_Weights

from app.errors import ModelError
from app.model.labels import Label, read_labels
from tests.dummy import MODELS

HEADER = "class_index,wnid,label_en,label_zh,synonyms_en,synonyms_zh\n"
IMAGENET = MODELS / "labels" / "imagenet1k.csv"


def test_a_row_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(HEADER + '0,n1,"cat, tame",猫,puss; kitty ,猫咪\n1,,dog,狗,,\n', encoding="utf-8")
    assert read_labels(path) == (
        Label(0, "n1", "cat, tame", "猫", ("puss", "kitty"), ("猫咪",)),
        Label(1, None, "dog", "狗", (), ()),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("index,name\n0,cat\n", "columns"),
        (HEADER, "no rows"),
        (HEADER + "1,,cat,猫,,\n", "count 0, 1, 2"),
        (HEADER + "0,,cat,猫,,\n0,,dog,狗,,\n", "count 0, 1, 2"),
        (HEADER + "0,,cat,猫,,\n1,,cat,狗,,\n", "label_en is not unique: cat"),
        (HEADER + "0,,cat,猫,,\n1,,dog,猫,,\n", "label_zh is not unique: 猫"),
        (HEADER + "0,,cat,,,\n", "no name"),
        (HEADER + "zero,,cat,猫,,\n", "cannot be read"),
        (HEADER + "0,,cat\n", "cannot be read"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        read_labels(path)


def test_imagenet_stands_in_the_order_of_torchvisions_weights() -> None:
    labels = read_labels(IMAGENET)
    categories = VGG16_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(labels) == len(categories) == 1000
    wnids = [label.wnid or "" for label in labels]
    assert wnids == sorted(set(wnids))
    # torchvision's categories are WordNet's first names; each is our label or a synonym, but for the corgi whose name
    # is a jacket's too, and a swimsuit that torchvision names by two synonyms at once.
    differing = {
        category
        for category, label in zip(categories, labels, strict=True)
        if category.lower() not in {name.lower() for name in (label.label_en, *label.synonyms_en)}
    }
    assert differing == {"Cardigan", "maillot tank suit"}


def test_cats_and_dogs() -> None:
    assert [
        (label.label_en, label.label_zh, label.wnid) for label in read_labels(MODELS / "labels" / "catdog.csv")
    ] == [
        ("cat", "猫", None),
        ("dog", "狗", None),
    ]


def test_the_file_is_plain_utf8_with_unix_lines() -> None:
    for path in (IMAGENET, MODELS / "labels" / "catdog.csv"):
        data = path.read_bytes()
        assert not data.startswith(b"\xef\xbb\xbf")
        assert b"\r" not in data
        assert list(csv.reader(data.decode("utf-8").splitlines(), strict=True))
