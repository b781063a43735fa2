import csv
import re
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


# The list itself

LABELS = read_labels(IMAGENET)
ANCHORS = list(csv.DictReader(Path(__file__).with_name("label_anchors.csv").read_text(encoding="utf-8").splitlines()))


def test_no_synonym_is_another_classs_name() -> None:
    for language in ("en", "zh"):
        owners = {getattr(label, f"label_{language}").lower(): label.class_index for label in LABELS}
        for label in LABELS:
            synonyms = getattr(label, f"synonyms_{language}")
            assert len({name.lower() for name in synonyms}) == len(synonyms), label
            for name in synonyms:
                assert name.lower() not in owners, f"{name}, a synonym of {label.label_en}, is a label"


DECISIONS = (IMAGENET.parent / "README.md").read_text(encoding="utf-8")


def test_names_that_mean_something_else_are_left_out() -> None:
    """Of the classes that the table in the label files' README gives with them."""
    table = DECISIONS.partition("| it means | left out |")[2].partition("\n\n")[0]
    left_out = re.findall(r"(?:[|,:] )([^|,():]+(?:, [^|,():]+)*) \(([\d, ]+)", table)
    assert sum(names.count(",") + 1 for names, _ in left_out) > 40
    for names, classes in left_out:
        for index in map(int, classes.replace(" ", "").split(",")):
            assert not {*names.split(", ")} & names_of(LABELS[index]), index


def test_a_synonym_of_two_classes_is_one_on_purpose() -> None:
    table = DECISIONS.partition("| name | classes | why |\n|---|---|---|\n")[2].partition("\n\n")[0]
    intended = {name: classes for name, classes, _ in (line.strip("| ").split(" | ") for line in table.splitlines())}
    owners: dict[str, list[str]] = {}
    for label in LABELS:
        for name in {*label.synonyms_en, *label.synonyms_zh}:
            owners.setdefault(name, []).append(str(label.class_index))
    assert {name: ", ".join(classes) for name, classes in owners.items() if len(classes) > 1} == intended


def names_of(label: Label) -> set[str]:
    return {label.label_en, label.label_zh, *label.synonyms_en, *label.synonyms_zh}


def test_chinese_names_are_chinese() -> None:
    with_latin = {label.label_zh for label in LABELS if re.search("[A-Za-z0-9]", label.label_zh)}
    assert with_latin == {"CD播放器", "iPod", "T恤", "MPV", "福特T型车"}
    for label in LABELS:
        for name in (label.label_zh, *label.synonyms_zh):
            assert re.fullmatch(r"[\u4e00-\u9fff㐀-䶿A-Za-z0-9·]+", name), f"{label.class_index}: {name}"
        assert not re.search("[科属目类]$", label.label_zh), label
        assert len(label.label_zh) <= 10, label


def test_characters_are_simplified() -> None:
    """GB 2312 holds the simplified characters in common use; the animals below have rarer ones and no commoner name."""
    rare = {character for label in LABELS for character in label.label_zh if not _in_gb2312(character)}
    assert rare == set("鹀鸮鹟䴕鳽狆獴羱")


def _in_gb2312(character: str) -> bool:
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def test_dogs_follow_one_convention() -> None:
    breeds = LABELS[151:269]
    assert not [label.label_zh for label in breeds if "狗" in label.label_zh or "㹴" in label.label_zh]
    endings = {label.label_zh[-1] for label in breeds}
    assert endings <= set("犬梗獒狆"), endings
    terriers = [label for label in breeds if label.label_en.endswith("terrier")]
    assert len(terriers) > 20
    assert {label.label_zh[-1] for label in terriers} <= {"梗", "犬"}
    assert not [label.label_zh for label in terriers if label.label_zh.endswith("梗犬")]


@pytest.mark.parametrize("anchor", ANCHORS, ids=[anchor["wnid"] for anchor in ANCHORS])
def test_the_sense_is_imagenets(anchor: dict[str, str]) -> None:
    """Anchors by a reader who had not seen the list: right names, and names of a wrong sense, species or region."""
    label = LABELS[int(anchor["class_index"])]
    assert label.wnid == anchor["wnid"]
    assert label.label_zh in anchor["accepted"].split(";"), label.label_en
    assert label.label_zh not in anchor["rejected"].split(";"), label.label_en


@pytest.mark.parametrize("content", [b"\xff\xfe", HEADER.encode() + b'0,,"cat,\n'], ids=["no text", "cut off"])
def test_a_file_that_is_no_table_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ModelError, match=r"labels\.csv cannot be read"):
        read_labels(tmp_path / "labels.csv")


def test_a_label_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.csv cannot be read"):
        read_labels(tmp_path / "labels.csv")
