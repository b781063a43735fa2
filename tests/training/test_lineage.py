from pathlib import Path

import pytest

from app.errors import ModelError
from app.training.lineage import KnownPicture, Lineage, are_among, read_lineage, read_pictures, write_seen
from app.training.looks import Look
from tests.training.test_split import digest, look, nearly


def known(name: str, part: str, number: int = 0) -> KnownPicture:
    return KnownPicture(digest(name), part, look(number))


def test_what_was_seen_is_handed_on_and_training_weighs_most(tmp_path: Path) -> None:
    own = [known("a", "validation", 1), known("b", "test", 2), known("c", "train", 3)]
    write_seen(
        tmp_path / "seen.csv", own, [known("a", "train", 1), known("b", "validation", 2), known("d", "train", 4)]
    )
    seen = {one.sha256: one.part for one in read_pictures(tmp_path / "seen.csv")}
    assert seen == {digest("a"): "train", digest("b"): "validation", digest("c"): "train", digest("d"): "train"}


def test_a_copy_counts_as_the_picture() -> None:
    lineage = Lineage(seen=(known("a", "train", 1), known("b", "validation", 2)))
    pictures = [(digest("a"), look(9)), (digest("x"), nearly(look(1))), (digest("b"), look(2)), (digest("y"), look(8))]
    assert lineage.taught(pictures) == [True, True, False, False]
    assert are_among(pictures, lineage.seen) == [True, True, True, False]
    assert are_among([], lineage.seen) == []


def test_of_a_model_from_an_earlier_version_the_split_tells_what_it_has_seen(tmp_path: Path) -> None:
    assert read_lineage(tmp_path) == Lineage()
    rows = [("train", "a"), ("validation", "b"), ("test", "c")]
    lines = [f"{part},0,cat,{name}.jpg,{digest(name)}" for part, name in rows]
    (tmp_path / "split.csv").write_text("\n".join(["part,class_index,class,path,sha256", *lines]))
    lineage = read_lineage(tmp_path)
    assert [one.part for one in lineage.own] == ["train", "validation", "test"]
    assert [one.part for one in lineage.seen] == ["train", "validation"]
    assert lineage.taught([(digest("a"), Look(0, bytes(192)))]) == [True]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("path,reason\na,b\n")
    with pytest.raises(ModelError, match="is no split"):
        read_pictures(tmp_path / "other.csv")
    with pytest.raises(ModelError, match="There is no file"):
        read_pictures(tmp_path / "nothing.csv")
