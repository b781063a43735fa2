from pathlib import Path

from app.image.reader import Reader
from app.training.data import list_images
from app.training.inspection import alike_across_parts, inspect
from tests.training.conftest import draw

READER = Reader(10**8, exact=False)


def test_broken_files_copies_and_contradictions_are_left_out(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    for number in range(3):
        draw(data / f"cat.{number}.png", "cat", number)
        draw(data / f"dog.{number}.png", "dog", number)
    whole = (data / "cat.0.png").read_bytes()
    (data / "cat.3.png").write_bytes(whole[: len(whole) // 2])
    (data / "cat.4.png").write_bytes(whole)
    (data / "dog.9.png").write_bytes((data / "cat.1.png").read_bytes())
    usable, refused = inspect(list_images(data), cache, READER, 2)
    reasons = {one.path: one.reason for one in refused}
    assert reasons.keys() == {"cat.3.png", "cat.4.png", "dog.9.png", "cat.1.png"}
    assert "truncated" in reasons["cat.3.png"]
    assert reasons["cat.4.png"] == "a copy of cat.0.png"
    assert reasons["cat.1.png"] == reasons["dog.9.png"] == "the same bytes are labelled cat and dog"
    assert {one.path for one in usable} == {"cat.0.png", "cat.2.png", "dog.0.png", "dog.1.png", "dog.2.png"}
    assert inspect(list_images(data), cache, READER, 2) == (usable, refused)


def test_what_was_seen_is_remembered_by_content(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    draw(data / "cat.0.png", "cat", 0)
    draw(data / "dog.0.png", "dog", 0)
    first, _ = inspect(list_images(data), cache, READER, 2)
    cache.write_text(cache.read_text().replace(first[0].look, "f" * 16))  # what the cache says is believed
    (data / "cat.0.png").rename(data / "cat.5.png")
    again, _ = inspect(list_images(data), cache, READER, 2)
    assert (again[0].path, again[0].look) == ("cat.5.png", "f" * 16)


def test_the_same_picture_in_another_file_is_reported(tmp_path: Path) -> None:
    from PIL import Image

    draw(tmp_path / "cat.0.png", "cat", 0)
    draw(tmp_path / "dog.0.png", "dog", 0)
    Image.open(tmp_path / "cat.0.png").save(tmp_path / "cat.1.bmp")
    usable, _ = inspect(list_images(tmp_path), tmp_path / "seen", READER, 1)
    parts = dict(zip([one.path for one in usable], ["train", "validation", "train"], strict=True))
    pairs = alike_across_parts([(parts[one.path], one) for one in usable])
    assert pairs == [("cat.0.png", "cat.1.bmp")]
    assert alike_across_parts([("train", one) for one in usable]) == []
