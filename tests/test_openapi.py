"""The document beside the code is the one that the service gives."""

import json
from pathlib import Path

import pytest

from app.openapi import DOCUMENT, current, main
from tests.running import RunningService


def test_the_document_in_docs_is_that_of_this_version() -> None:
    written, now = json.loads(DOCUMENT.read_text(encoding="utf-8")), current()
    assert written == now, "raise the version in pyproject.toml, then run scripts/openapi.py"


def test_it_is_what_a_running_service_gives(service: RunningService) -> None:
    assert service.client.get("/openapi.json").json() == current()


def test_operations_have_the_names_of_methods() -> None:
    operations = [operation for path in current()["paths"].values() for operation in path.values()]
    assert [operation["operationId"] for operation in operations][:2] == ["predict", "predict_batch"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_a_document_that_has_changed_needs_another_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "openapi.json"
    assert main("", ["--file", str(path)]) == 0
    written = path.read_text(encoding="utf-8")
    assert json.loads(written) == current()

    changed = json.loads(written)
    changed["info"]["title"] = "something else"
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert main("", ["--file", str(path)]) == 1
    assert "Raise the version" in capsys.readouterr().out
    assert json.loads(path.read_text(encoding="utf-8")) == changed

    changed["info"]["version"] = "0.0.1"
    path.write_text(json.dumps(changed), encoding="utf-8")
    assert main("", ["--file", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == written
