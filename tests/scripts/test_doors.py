"""Doors: each says what there is, and leads to one command."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT, clean_environment

DOORS = sorted(path for path in (ROOT / "scripts").glob("*.py") if path.read_text().startswith("#!"))


def test_there_are_doors() -> None:
    assert {"benchmark.py", "chaos.py", "evaluate.py", "finetune.py", "fuzz.py", "prepare_model.py"} <= {
        door.name for door in DOORS
    }


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_only_enters(door: Path) -> None:
    help_text, import_, entering = ast.parse(door.read_text(encoding="utf-8")).body
    assert isinstance(help_text, ast.Expr)
    assert ast.unparse(import_) == "from interpreter import enter"
    assert ast.unparse(entering).startswith("enter('")
    assert ast.unparse(entering).endswith("', __doc__)")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_help_says_what_there_is(door: Path) -> None:
    result = subprocess.run(
        [door, "--help"], cwd="/", env=clean_environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert f"usage: {door.name}" in result.stdout
    documentation = ast.get_docstring(ast.parse(door.read_text(encoding="utf-8")))
    assert documentation
    assert documentation in result.stdout
