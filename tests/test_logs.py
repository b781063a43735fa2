"""One line for each event, for machines or for people."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from app.logs import set_up_logging

LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_json_is_an_object_a_line_with_what_was_added(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("json", "info")
    logging.getLogger("app.x").info("cat\n猫 %d", 7, extra={"request_id": "abc", "timing_ms": {"total": 1.5}})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "猫" in err
    line = json.loads(err)
    assert line.pop("time")
    assert line == {
        "level": "INFO", "logger": "app.x", "message": "cat\n猫 7", "request_id": "abc", "timing_ms": {"total": 1.5},
    }  # fmt: skip


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("text", "info")
    logging.getLogger("app.x").warning("low on memory")
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING low on memory\n", capsys.readouterr().err)


def test_the_least_severity_counts_and_libraries_say_no_more_than_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("text", "info")
    logging.getLogger("app.x").debug("hidden")
    for name in LIBRARIES:
        logging.getLogger(name).info("hidden")
        logging.getLogger(name).warning("%s has a problem", name)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("WARNING ")[1] for line in lines] == [f"{name} has a problem" for name in LIBRARIES]


def test_an_exception_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("json", "info")
    try:
        [].pop()
    except IndexError:
        logging.getLogger("app.x").exception("A defect of ours.")
    line = json.loads(capsys.readouterr().err)
    assert "IndexError: pop from empty list" in line["exc_info"]
