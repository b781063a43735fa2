from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.image.reader import Reader
from app.training.data import Refused, list_images
from app.training.inspection import UsableImage, inspect
from app.training.looks import Look
from tests.training.conftest import draw

LIMIT = 10**8


def look_at(data: Path, cache: Path, limit: int = LIMIT) -> tuple[list[UsableImage], list[Refused]]:
    return inspect(list_images(data), cache, Reader(limit, exact=False), limit, 2)


def test_broken_files_copies_and_contradictions_are_left_out(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    for number in range(3):
        draw(data / f"cat.{number}.png", "cat", number)
        draw(data / f"dog.{number}.png", "dog", number)
    whole = (data / "cat.0.png").read_bytes()
    (data / "cat.3.png").write_bytes(whole[: len(whole) // 2])
    (data / "cat.4.png").write_bytes(whole)
    (data / "dog.9.png").write_bytes((data / "cat.1.png").read_bytes())
    (data / "dog.8.png").symlink_to(data / "nowhere.png")
    usable, refused = look_at(data, cache)
    reasons = {one.path: one.reason for one in refused}
    assert reasons.keys() == {"cat.3.png", "cat.4.png", "dog.8.png", "dog.9.png", "cat.1.png"}
    assert "truncated" in reasons["cat.3.png"]
    assert reasons["cat.4.png"] == "a copy of cat.0.png"
    assert reasons["cat.1.png"] == reasons["dog.9.png"] == "the same bytes are labelled cat and dog"
    assert reasons["dog.8.png"].startswith("cannot be read")
    assert {one.path for one in usable} == {"cat.0.png", "cat.2.png", "dog.0.png", "dog.1.png", "dog.2.png"}
    assert look_at(data, cache) == (usable, refused)


def test_what_was_seen_is_remembered_by_content(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    draw(data / "cat.0.png", "cat", 0)
    draw(data / "dog.0.png", "dog", 0)
    first, _ = look_at(data, cache)
    other = Look(7, bytes(192))
    cache.write_text(cache.read_text().replace(str(first[0].look), str(other)))  # what the cache says is believed
    (data / "cat.0.png").rename(data / "cat.5.png")
    again, _ = look_at(data, cache)
    assert (again[0].path, again[0].look) == ("cat.5.png", other)


def test_a_limit_that_is_raised_or_lowered_holds_for_what_was_seen_before(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    draw(data / "cat.0.png", "cat", 0)  # 170 x 200
    draw(data / "dog.0.png", "dog", 0)
    assert len(look_at(data, cache, 1000)[1]) == 2
    assert len(look_at(data, cache)[0]) == 2
    assert len(look_at(data, cache, 1000)[1]) == 2


def test_several_processes_may_inspect_at_once(tmp_path: Path) -> None:
    """They wrote to one file of one name, and all but the first found it gone."""
    data, cache = tmp_path / "data", tmp_path / "seen.jsonl"
    for number in range(12):
        draw(data / f"cat.{number}.png", "cat", number)
        draw(data / f"dog.{number}.png", "dog", number)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            cache.unlink(missing_ok=True)
            found = [pool.submit(look_at, data, cache) for _ in range(4)]
            assert {len(one.result()[0]) for one in found} == {24}
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
