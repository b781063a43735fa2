"""The README, held to what the code does."""

import re
import shlex

import pytest

from app import errors
from app.settings import Settings
from tests.running import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_stands_in_the_table_with_its_default_and_meaning() -> None:
    rows = dict(re.findall(r"^\| `VGG_(\w+)` \| (.*) \|$", README, re.MULTILINE))
    assert list(rows) == [name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default, _, meaning = rows[name.upper()].partition(" | ")
        assert meaning == field.description, name
        if name == "decode_workers":
            expected = "cores"
        elif name in ("models_dir", "store_dir"):
            expected = "`models/`"
        else:
            expected = "empty" if field.default in ((), "", None) else f"`{field.default}`"
        assert default == expected, name


def test_every_code_of_the_contract_stands_in_the_table_with_its_status() -> None:
    documented = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3}) \| (.*?) \|", README, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert documented == {(error.status, error.code) for error in _all_errors()}


def _all_errors() -> list[type[errors.ServiceError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [error for error in found if issubclass(error, errors.ServiceError)]


def test_the_first_lines_hold_what_a_newcomer_needs() -> None:
    first = "\n".join(README.splitlines()[:25])
    for needed in ("scripts/serve", "curl -F file=@photo.jpg localhost:8000/predict", "label_zh", "scripts/test"):
        assert needed in first


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [
        line[2:].partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")
    ]


@pytest.mark.parametrize("command", commands())
def test_commands_name_scripts_that_can_be_run(command: str) -> None:
    first = shlex.split(command)[0]
    if first != "curl":
        assert (ROOT / first).stat().st_mode & 0o100


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:app|tests|scripts|models)/[\w./-]+)`", README))))
def test_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()
