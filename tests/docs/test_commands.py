"""What readers are told to type: doors that exist, with options that exist; modules and files that exist."""

import importlib.util
import io
import re
import shlex
import subprocess
from contextlib import redirect_stdout
from functools import cache

import pytest

from tests.docs.documents import DOCUMENTS, Document
from tests.running import ROOT

# Written by a reader, not by us.
OF_THE_READER = {"deploy/tls.pem", "deploy/grafana-password"}
FOLDERS = "app|deploy|docs|models|scripts|tests"


def all_commands() -> list[str]:
    """Of console blocks, and of inline code that begins with a door."""
    inline = [span for one in DOCUMENTS for span in one.spans() if re.match(r"scripts/[\w.-]+( |$)", span)]
    return sorted({command for one in DOCUMENTS for command in one.commands()} | set(inline))


@cache
def help_of(door: str, *arguments: str) -> str:
    """Of a door in Python without its own text, in this process: importing torch for each would take a minute."""
    opened = re.search(r'^enter\("([\w.]+)"', (ROOT / door).read_text(encoding="utf-8"), re.MULTILINE)
    if opened is None:
        run = [str(ROOT / door), *arguments, "--help"]
        return subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout
    with redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit) as ended:
        importlib.import_module(opened[1]).main("", [*arguments, "--help"])
    assert ended.value.code == 0
    return printed.getvalue()


@pytest.mark.parametrize("command", all_commands())
def test_a_command_names_a_door_and_options_that_exist(command: str) -> None:
    door, *arguments = shlex.split(command)
    if door == "curl":
        return  # run in test_examples.py
    assert (ROOT / door).stat().st_mode & 0o100
    options = [argument for argument in arguments if argument.startswith("--")]
    if options:
        before = arguments[: arguments.index(options[0])]
        text = help_of(door, *before)
        for option in options:
            assert option == "--help" or re.search(rf"(?<![\w-]){option}(?![\w-])", text), option


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_modules_that_are_run_exist(document: Document) -> None:
    for module in re.findall(r"python -m ([\w.]+)", document.text):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_are_named_exist(document: Document) -> None:
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", document.prose):
        assert path in OF_THE_READER or (ROOT / path).exists(), path
