from pathlib import Path

import pytest

from app.errors import ModelError
from app.model.labels import Label, read_labels
from app.training.classes import choose_labels, class_names, match_classes, write_labels
from tests.running import ROOT

MODELS = ROOT / "models"
CRANE = Label(0, "n02012849", "crane", "鹤", ("wading bird",), ("鸟",))
LIFTER = Label(1, "n03126707", "hoist", "起重机", ("crane", "derrick"), ())


def test_cats_and_dogs_have_names_in_both_languages() -> None:
    assert [(one.label_en, one.label_zh) for one in choose_labels(["dog", "cat"], None, MODELS)] == [
        ("cat", "猫"),
        ("dog", "狗"),
    ]


def test_other_classes_are_called_what_their_folders_are() -> None:
    labels = choose_labels(["tulip", "rose"], None, MODELS)
    assert labels == [Label(0, None, "rose", "rose", (), ()), Label(1, None, "tulip", "tulip", (), ())]


def test_a_file_of_labels_gives_the_order_and_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_labels([CRANE, LIFTER], path)
    assert read_labels(path) == (CRANE, LIFTER)
    assert choose_labels(["derrick", "n02012849"], path, MODELS) == [CRANE, LIFTER]
    assert class_names(["derrick", "n02012849"], [CRANE, LIFTER]) == ["n02012849", "derrick"]


def test_a_file_must_name_the_classes_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with pytest.raises(ModelError, match=r"There is no file .*labels\.csv"):
        choose_labels(["crane"], path, MODELS)
    write_labels([CRANE, LIFTER], path)
    with pytest.raises(ModelError, match="names classes that no image has: hoist"):
        choose_labels(["crane"], path, MODELS)
    with pytest.raises(ModelError, match="no class, or several classes, for: swan"):
        choose_labels(["crane", "swan"], path, MODELS)
    with pytest.raises(ModelError, match="a single class for several in the data: crane, n02012849"):
        choose_labels(["crane", "hoist", "n02012849"], path, MODELS)


def test_a_label_goes_before_another_classes_synonym_and_case_is_ignored() -> None:
    assert match_classes(["crane", "derrick"], [CRANE, LIFTER], "Ours") == {"crane": 0, "derrick": 1}
    with_capitals = Label(0, "n1", "Border Collie", "边", (), ())
    assert match_classes(["border collie"], [with_capitals], "Ours") == {"border collie": 0}


def test_a_synonym_of_two_classes_is_none() -> None:
    labels = [Label(0, None, "a", "a", ("both",), ()), Label(1, None, "b", "b", ("both",), ())]
    with pytest.raises(ModelError, match="Ours has no class, or several classes, for: both"):
        match_classes(["both"], labels, "Ours")
