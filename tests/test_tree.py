"""What must hold of the tree as a whole."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import app
from tests.running import ROOT

LOCK = ROOT / "requirements.lock"
PEERS_LOCK = ROOT / "requirements-peers.lock"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
INSTALLED = ("embedded", "dev")  # the extras that scripts/test installs
SCREENSHOT = "docs/page.png"  # of the README, made by scripts/check-page


def tracked_texts() -> dict[str, str]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = {name: ROOT / name for name in names.split("\0") if name and name != SCREENSHOT}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items() if path.is_file()}


def test_no_file_names_an_index_or_a_local_path() -> None:
    words = ["find" + "-links", "files.python" + "hosted", "py" + "pi.org", "file" + ":///", "extra-index" + "-url"]
    for name, text in tracked_texts().items():
        for word in words:
            assert word not in text, f"{name} contains {word}"


def locked(lock: Path = LOCK) -> dict[str, str]:
    """The lock as this Python reads it: name -> version, of the lines whose marker holds."""
    requirements = [Requirement(line) for line in lock.read_text(encoding="utf-8").splitlines()]
    found = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    versions: dict[str, str] = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in found}
    assert len(versions) == len(found), "something is locked twice"
    return versions


def needed() -> dict[str, tuple[Requirement, bool]]:
    """What this Python needs for anything in pyproject.toml; and whether scripts/test has it installed."""
    always = [*PYPROJECT["build-system"]["requires"], *PROJECT["dependencies"]]
    groups = {None: always} | PROJECT["optional-dependencies"]
    found: dict[str, tuple[Requirement, bool]] = {}
    for extra, texts in groups.items():
        for requirement in map(Requirement, texts):
            if requirement.marker is None or requirement.marker.evaluate():
                name = canonicalize_name(requirement.name)
                before = found.get(name, (requirement, False))
                found[name] = (requirement, before[1] or extra is None or extra in INSTALLED)
    return found


def closure(requirement: Requirement, seen: dict[str, str]) -> None:
    """Follow what an installed distribution needs, by its own metadata: name -> installed version, into ``seen``."""
    try:
        found = distribution(requirement.name)
    except PackageNotFoundError:
        return  # torch without CUDA, an extra that is not installed
    seen[canonicalize_name(requirement.name)] = found.version.partition("+")[0]  # 2.14.1+cpu is 2.14.1
    for text in found.requires or ():
        child = Requirement(text)
        applies = child.marker is None or any(
            child.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
        )
        if applies and canonicalize_name(child.name) not in seen:
            closure(child, seen)


@pytest.mark.parametrize("lock", [LOCK, PEERS_LOCK], ids=lambda lock: lock.name)
def test_a_lock_holds_exact_versions_and_nothing_else(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [a-z_<>=!'. 0-9A-Z()]+)?", line), line


def test_every_dependency_is_locked_at_a_version_that_pyproject_allows() -> None:
    versions = locked()
    for name, (requirement, _) in needed().items():
        assert name in versions, f"{name} is not in requirements.lock; scripts/lock adds it"
        assert requirement.specifier.contains(versions[name]), f"{requirement} does not allow what is locked"


def test_the_servers_to_compare_with_are_locked_apart() -> None:
    """Without what they need: all that is locked is named."""
    requirements = [Requirement(text) for text in PYPROJECT["dependency-groups"]["peers"]]
    wanted = {one.name: one for one in requirements if one.marker is None or one.marker.evaluate()}
    versions = locked(PEERS_LOCK)
    assert versions.keys() == wanted.keys()
    for name, version_ in versions.items():
        assert wanted[name].specifier.contains(version_), name


def test_what_is_installed_of_what_is_needed_is_what_is_locked() -> None:
    versions = locked()
    installed: dict[str, str] = {}
    for requirement, _ in needed().values():
        closure(requirement, installed)
    missing = {name for name, (_, wanted) in needed().items() if wanted} - installed.keys()
    assert not missing, "scripts/install installs them"
    assert len(installed) > len(needed()) / 2
    for name, found in installed.items():
        assert versions.get(name) == found, f"{name} {found} is installed, {versions.get(name)} is locked"


def test_the_version_is_said_once() -> None:
    """In pyproject.toml; what the application says is what the checkout was installed as."""
    assert version(PROJECT["name"]) == PROJECT["version"]
    for name in ("app/main.py", "app/__init__.py", "Dockerfile", "docker-compose.yml"):
        assert not re.search(r"(?i)version\W{1,4}[0-9]", (ROOT / name).read_text(encoding="utf-8")), name


def test_the_checkout_is_installed_in_place() -> None:
    assert Path(app.__file__).parent == ROOT / "app"
    assert '"editable": true' in (distribution(PROJECT["name"]).read_text("direct_url.json") or "")


def test_everybody_means_the_same_pythons() -> None:
    pythons = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if "Python :: 3." in name]
    first, last = pythons[0].split("."), pythons[-1].split(".")
    assert PROJECT["requires-python"] == f">=3.{first[1]},<3.{int(last[1]) + 1}"
    install = (ROOT / "scripts" / "install").read_text(encoding="utf-8")
    assert f"(3, {first[1]}) <= sys.version_info[:2] <= (3, {last[1]})" in install
    assert sorted(re.findall(r" python(3\.\d+)(?= )", install)) == pythons
    assert f"for version in {' '.join(pythons)}; do" in (ROOT / "scripts" / "lock").read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == pythons


def test_weights_and_photographs_stay_out_of_git() -> None:
    for name in tracked_texts():
        assert (ROOT / name).stat().st_size < 1_000_000, name
        assert not name.endswith((".pth", ".safetensors", ".jpg", ".jpeg", ".png"))


def test_the_one_picture_in_git_is_small_and_shown() -> None:
    assert (ROOT / SCREENSHOT).stat().st_size < 300_000
    for readme in ("README.md", "README.zh-CN.md"):
        assert f"]({SCREENSHOT})" in (ROOT / readme).read_text(encoding="utf-8")


def test_every_door_that_checks_something_is_opened_by_a_workflow_and_may_fail_it() -> None:
    workflows = [path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    steps = [step for text in workflows for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step and "if" not in step and "continue-on-error" not in step]
    doors = {path.name for path in (ROOT / "scripts").glob("check-*")}
    for door in doors | {"test", "lint", "chaos.py", "fuzz.py", "benchmark.py"}:
        assert any(f"scripts/{door}" in command for command in commands), door
    assert "|| true" not in "".join(workflows)


def test_every_module_has_tests_of_its_own_name_or_contributing_says_where() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    elsewhere = dict(re.findall(r"^\| `(app/[\w/]+\.py)` \| `(tests/[\w/]+\.py)` \|$", guide, re.MULTILINE))
    for module, tests in elsewhere.items():
        assert (ROOT / module).is_file(), f"CONTRIBUTING.md knows {module}"
        assert (ROOT / tests).is_file(), f"CONTRIBUTING.md sends readers to {tests}"
    for path in (ROOT / "app").rglob("*.py"):
        module = path.relative_to(ROOT / "app")
        own = ROOT / "tests" / module.with_name(f"test_{module.name}")
        if module.name != "__init__.py":
            assert own.is_file() or f"app/{module}" in elsewhere, f"where are the tests of app/{module}?"
