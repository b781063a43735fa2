"""What must hold of the tree as a whole."""

import re
import subprocess
import tomllib
from importlib.metadata import distributions

import app
from tests.running import ROOT

LOCK = ROOT / "requirements.lock"


def tracked_texts() -> dict[str, str]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = {name: ROOT / name for name in names.split("\0") if name}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}


def test_no_file_names_an_index_or_a_local_path() -> None:
    words = ["find" + "-links", "files.python" + "hosted", "py" + "pi.org", "download." + "pytorch", "file" + ":///",
             "/opt/" + "wheels", "/work" + "/", "extra-index" + "-url"]  # fmt: skip
    for name, text in tracked_texts().items():
        for word in words:
            assert word not in text, f"{name} contains {word}"


def test_the_lock_holds_exact_versions_and_nothing_else() -> None:
    lines = LOCK.read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_what_is_installed_is_what_is_locked() -> None:
    locked = dict(line.split("==") for line in LOCK.read_text().splitlines())
    versions = {_plain(name): wanted for name, wanted in locked.items()}
    for found in distributions():
        if found.name != "pip":
            assert found.version.split("+")[0] == versions.get(_plain(found.name)), found.name


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.partition("==")[0].lower().replace("_", "-") for line in LOCK.read_text().splitlines()}
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    for requirement in project["dependencies"] + extras:
        name = re.split(r"[<>=!;\[ ]", requirement)[0].lower()
        assert name in locked, name


def test_the_version_is_said_once() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == app.__version__


def test_weights_and_photographs_stay_out_of_git() -> None:
    for name in tracked_texts():
        assert (ROOT / name).stat().st_size < 1_000_000, name
        assert not name.endswith((".pth", ".safetensors", ".jpg", ".jpeg", ".png"))
