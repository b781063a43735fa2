import pytest

from app.model.labels import Label, read_labels
from app.model.search import LabelIndex, fold
from tests.dummy import MODELS

LABELS = read_labels(MODELS / "labels" / "imagenet1k.csv")
IMAGENET = LabelIndex(LABELS)


def found(query: str) -> list[int]:
    return [match.label.class_index for match in IMAGENET.search(query)]


def test_every_class_is_found_by_each_of_its_names() -> None:
    for label in LABELS:
        for name in (label.label_en, label.label_zh, *label.synonyms_en, *label.synonyms_zh):
            assert label.class_index in found(name), name
        assert found(label.label_en)[0] == found(label.label_zh)[0] == label.class_index


@pytest.mark.parametrize(
    "query",
    [
        "golden retriever",
        "GOLDEN  Retriever",
        "golden-retriever",
        "金毛",
        "金毛寻回犬",
        "n02099601",
        "ｇｏｌｄｅｎ retriever",
    ],
)
def test_a_class_is_found_in_either_language_however_it_is_written(query: str) -> None:
    assert found(query)[0] == 207


def test_accents_and_apostrophes_make_no_difference() -> None:
    assert found("consommé")[0] == found("CONSOMME")[0] == 925
    assert found("jack-o'-lantern")[0] == found("Jack o’ Lantern")[0] == 607
    assert fold("ＣＤ播放器") == "cd播放器"


def test_the_likeliest_comes_first() -> None:
    names = [("scarab",), ("big cart",), ("carriage",), ("car mirror",), ("auto", "car"), ("car",), ("jeep", "big car")]
    labels = [Label(index, None, name, f"名{index}", tuple(more), ()) for index, (name, *more) in enumerate(names)]
    found = [match.name for match in LabelIndex(labels).search("car")]
    assert found == ["car", "car", "car mirror", "big car", "carriage", "big cart", "scarab"]
    assert [match.label.class_index for match in LabelIndex(labels).search("car")][:2] == [5, 4]


@pytest.mark.parametrize(("query", "kind"), [("猫", "猫"), ("cat", "cat"), ("犬", "犬"), ("shark", "shark")])
def test_what_is_of_a_kind_comes_before_what_only_sounds_like_it(query: str, kind: str) -> None:
    first = [match.name for match in IMAGENET.search(query)[:4]]
    assert all(name.endswith(kind) for name in first), first


def test_a_name_of_two_classes_finds_both() -> None:
    assert found("crane")[:2] == [134, 517]
    assert found("独轮车")[:2] == [428, 880]


def test_part_of_a_wordnet_id_finds_nothing() -> None:
    assert found("n0209960") == []


@pytest.mark.parametrize("query", ["", "  ", "…", "__", "\N{COMBINING ACUTE ACCENT}"])
def test_a_query_without_a_letter_finds_nothing(query: str) -> None:
    assert fold(query) == ""
    assert found(query) == []
