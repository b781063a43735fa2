import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.running import ROOT, clean_environment
from tests.system.fuzzing.seeds import seeds

needs_extra = pytest.mark.skipif(find_spec("atheris") is None, reason="needs the extra `fuzz`")


def fuzz(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = ["scripts/fuzz.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False, timeout=200
    )


@needs_extra
def test_a_short_run_on_decoding_finds_nothing(tmp_path: Path) -> None:
    result = fuzz("--folder", tmp_path, "decode", "--seconds", "4", "--restarts", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.rstrip().endswith("executions, 0 findings")
    assert len(list((tmp_path / "decode" / "corpus").iterdir())) > len(seeds())  # it has learned something


def test_a_short_run_through_decoders_finds_nothing(tmp_path: Path) -> None:
    result = fuzz("--folder", tmp_path, "decoders", "--seconds", "4")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "decoders ended: " in result.stdout
    assert result.stdout.rstrip().endswith("\n0 findings")


@needs_extra
def test_a_short_run_on_the_service_finds_nothing(tmp_path: Path) -> None:
    result = fuzz("--folder", tmp_path, "http", "--seconds", "10", "--examples", "5")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("images: exit status 0") == result.stdout.count("Test cases:") == 2


@needs_extra
def test_an_input_is_checked_again(tmp_path: Path) -> None:
    path = tmp_path / "finding"
    path.write_bytes(seeds()["HEIF-RGB"])
    result = fuzz("decode", "--reproduce", path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(path) in result.stdout
