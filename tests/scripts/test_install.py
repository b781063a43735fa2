"""``scripts/install``, in copies of the checkout. No test here needs a network: the indexes are on this machine."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.file_host import hosting
from tests.package_index import IndexHost, add_wheel, serving_indexes
from tests.running import NO_NETWORK, ROOT, wait_until

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is only one torch")
NOBODY = "http://127.0.0.1:9"


def run_install(checkout: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Whatever pip is told on this machine does not count."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        ["scripts/install", *arguments],
        cwd=checkout,
        env=inherited | {"PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


# The real pyproject.toml and lock, and no index: installing fails where it would begin to download.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/install", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def install(checkout: Path, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    return run_install(checkout, *arguments, **(NO_NETWORK | {"PIP_NO_INDEX": "1"} | changes))


def test_what_is_installed_needs_no_network() -> None:
    result = install(ROOT, "--extras", "embedded,dev")
    assert (result.returncode, result.stdout) == (0, "")


def test_help(checkout: Path) -> None:
    result = install(checkout, "--help")
    assert result.returncode == 0
    assert result.stdout.count("scripts/install [--extras") == 1
    assert result.stdout.rstrip().endswith("(default: /dev).")
    assert "#" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "unknown option --nonsense"),
        (["--extras"], "--extras needs a list"),
        (["--cpu", "--cuda"], "--cpu or --cuda, not both"),
    ],
)
def test_wrong_options_are_one_line_and_make_nothing(checkout: Path, arguments: list[str], words: str) -> None:
    result = install(checkout, *arguments)
    assert result.returncode == 1
    assert words in result.stdout
    assert result.stdout.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_a_wrong_python_is_one_line(checkout: Path) -> None:
    old = checkout / "python2"
    old.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 2.7.18\nexit 1\n")
    old.chmod(0o755)
    result = install(checkout, PYTHON=str(old))
    assert result.returncode == 1
    assert result.stdout.startswith("scripts/install: needs Python 3.11 to 3.14, found Python 2.7.18;")
    assert result.stdout.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_the_newest_python_that_the_tests_have_run_on_is_taken(checkout: Path) -> None:
    """Each of these would do; which of them is asked to make the environment?"""
    for name in ("python3.11", "python3.13", "python3.14", "python3"):
        stand_in = checkout / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text('#!/bin/sh\n[ "$1" = -c ] || { echo "$(basename "$0") $*"; exit 1; }\n')
        stand_in.chmod(0o755)
    result = install(checkout, PYTHON="", PATH=f"{checkout / 'bin'}:{os.environ['PATH']}")
    assert result.stdout.splitlines()[0] == "python3.13 -m venv .venv"
    assert "python3.13 cannot make a virtual environment" in result.stdout


def test_a_failed_install_says_so_and_the_next_run_heals_a_half_made_environment(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").touch()
    result = install(checkout)
    assert result.returncode == 1
    assert ".venv is half-made; making it anew" in result.stdout
    assert result.stdout.rstrip().endswith("scripts/install: pip failed (see above); run the same command again")
    assert not (checkout / ".venv" / "installed").exists()
    again = install(checkout)
    assert "half-made" not in again.stdout  # now it is whole, and pip goes on
    assert again.returncode == 1


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "diary.txt").write_text("precious")
    result = install(checkout)
    assert result.returncode == 1
    assert result.stdout == "scripts/install: .venv is not a virtual environment; move it away\n"
    assert (checkout / ".venv" / "diary.txt").exists()


# A project of three packages on indexes of our own, where installing takes seconds

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1"
dependencies = ["torch>=2", "torchvision", "other"]

[project.optional-dependencies]
more = ["another"]
"""
LOCK = """\
another==1.0
nvidia==13.0 ; sys_platform == 'linux'
other==1.0 ; python_version < '3'
other==2.0 ; python_version >= '3'
torch==2.14.1
torchvision==0.29.1
"""
BACKEND = """
import pathlib
import zipfile


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("tiny.pth", str(pathlib.Path.cwd()))
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.dist-info/RECORD", "")
    return name
"""


def add_torch(index: Path, local: str, cuda: str | None, version: str = "2.14.1") -> None:
    """As PyTorch publishes it: what it was built for is in its version.py, and CUDA is packages of its own."""
    files = {"torch/__init__.py": "raise ImportError('heavy')", "torch/version.py": f"cuda: str | None = {cuda!r}\n"}
    add_wheel(index, "torch", version + local, files, ["nvidia"] if cuda else [])


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexHost]:
    """Two of them, as in the world: one with everything, and PyTorch's own with torch alone."""
    folder = tmp_path_factory.mktemp("indexes")
    for version in ("2.14.1", "2.15.0"):
        add_torch(folder / "default", "", "13.0", version)
        add_torch(folder / "cpu", "+cpu", None, version)
    add_wheel(folder / "default", "torchvision", "0.29.1", requires=["torch"])
    add_wheel(folder / "cpu", "torchvision", "0.29.1+cpu", requires=["torch", "other"])  # which it has not
    for name, version in (("nvidia", "13.0"), ("other", "1.0"), ("other", "2.0"), ("another", "1.0")):
        add_wheel(folder / "default", name, version)
    with serving_indexes(folder) as host:
        yield host


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


class Tiny:
    """A checkout of the tiny project; on a machine without a device unless ``devices`` gets one."""

    def __init__(self, folder: Path, indexes: IndexHost) -> None:
        self.folder, self.indexes = folder, indexes
        self.devices = folder / "dev"
        self.devices.mkdir()
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "install", folder / "scripts" / "install")
        for name, text in (("pyproject.toml", PYPROJECT), ("requirements.lock", LOCK), ("backend.py", BACKEND)):
            (folder / name).write_text(text)
        indexes.requests.clear()

    def install(self, *arguments: str, **changes: str) -> str:
        """What it printed; it must succeed."""
        result = self.try_install(*arguments, **changes)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def try_install(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        urls = {"PIP_INDEX_URL": f"{self.indexes.url}/default", "TORCH_INDEX_URL": f"{self.indexes.url}/cpu"}
        direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "NVIDIA_DEV": str(self.devices)}
        return run_install(self.folder, *arguments, **(urls | direct | changes))

    def is_silent_without_a_network(self, *arguments: str) -> bool:
        before = self.stamp
        output = self.install(*arguments, PIP_INDEX_URL=NOBODY, TORCH_INDEX_URL=NOBODY)
        return not output and self.stamp == before

    @property
    def stamp(self) -> list[str]:
        """Without the digest: the flavour, then the extras."""
        return (self.folder / ".venv" / "installed").read_text().splitlines()[1:]

    @property
    def installed(self) -> dict[str, str]:
        packages = next((self.folder / ".venv" / "lib").glob("python*/site-packages"))
        pairs = (path.name.removesuffix(".dist-info").split("-") for path in packages.glob("*.dist-info"))
        return {name: version for name, version in pairs if name not in ("pip", "setuptools")}

    def asked_of(self, index: str) -> bool:
        return any(path.startswith(f"/{index}/") for path in self.indexes.requests)


@pytest.fixture
def tiny(tmp_path: Path, indexes: IndexHost, empty_environment: Path) -> Tiny:
    shutil.copytree(empty_environment, tmp_path / ".venv", symlinks=True)
    return Tiny(tmp_path, indexes)


@LINUX_ONLY
@pytest.mark.parametrize("arguments", [[], ["--cpu"]])
def test_without_a_device_torch_comes_without_cuda(tiny: Tiny, arguments: list[str]) -> None:
    tiny.install(*arguments)
    assert tiny.installed["torch"] == "2.14.1+cpu"
    assert tiny.installed["torchvision"] == "0.29.1+cpu"
    assert "nvidia" not in tiny.installed
    assert tiny.installed["other"] == "2.0"  # from the default index, by the lock's marker
    assert "tiny" in tiny.installed  # the checkout itself
    assert tiny.stamp == ["cpu"]

    assert tiny.is_silent_without_a_network()
    assert tiny.is_silent_without_a_network("--cpu")
    refused = tiny.try_install("--cuda")
    assert refused.returncode == 1
    assert refused.stdout == "scripts/install: this .venv carries torch without CUDA; remove .venv to change that\n"


@LINUX_ONLY
def test_where_pytorchs_index_cannot_be_reached_it_says_so_and_takes_the_default_one(tiny: Tiny) -> None:
    output = tiny.install(TORCH_INDEX_URL=NOBODY)
    (line,) = [line for line in output.splitlines() if "cannot reach" in line]
    assert line.startswith(f"scripts/install: cannot reach {NOBODY}; torch comes from the default index")
    assert tiny.installed["torch"] == "2.14.1"
    assert "nvidia" in tiny.installed
    assert tiny.stamp == ["cuda instead of cpu"]
    for wish in ([], ["--cpu"], ["--cuda"]):
        assert tiny.is_silent_without_a_network(*wish)

    assert "cannot reach" not in tiny.install("--extras", "more", TORCH_INDEX_URL=NOBODY)  # torch is there
    assert tiny.stamp == ["cuda instead of cpu", "more"]


@LINUX_ONLY
def test_an_index_that_never_answers_is_given_up_within_seconds(tiny: Tiny) -> None:
    with hosting(b"", "cpu") as host:
        host.silent = True
        output = tiny.install(TORCH_INDEX_URL=host.url)
    assert f"cannot reach {host.url}" in output
    assert tiny.stamp == ["cuda instead of cpu"]


@pytest.mark.parametrize(("arguments", "device"), [(["--cuda"], None), ([], "nvidia0"), ([], "nvidiactl"), ([], "dxg")])
@LINUX_ONLY
def test_with_a_device_or_by_hand_torch_comes_from_the_default_index(
    tiny: Tiny, arguments: list[str], device: str | None
) -> None:
    if device:
        (tiny.devices / device).touch()
    tiny.install(*arguments)
    assert tiny.installed["torch"] == "2.14.1"
    assert tiny.stamp == ["cuda"]
    assert not tiny.asked_of("cpu")
    assert tiny.is_silent_without_a_network(*arguments)
    refused = tiny.try_install("--cpu")
    assert refused.returncode == 1
    assert refused.stdout == "scripts/install: this .venv carries torch with CUDA; remove .venv to change that\n"


@LINUX_ONLY
def test_the_flavour_outlives_a_device_and_a_renewed_lock(tiny: Tiny) -> None:
    tiny.install("--cpu")
    (tiny.devices / "nvidia0").touch()
    lock = tiny.folder / "requirements.lock"
    lock.write_text(lock.read_text().replace("torch==2.14.1", "torch==2.15.0"))
    tiny.install()
    assert tiny.installed["torch"] == "2.15.0+cpu"
    assert tiny.stamp == ["cpu"]


@LINUX_ONLY
def test_more_extras_ask_pytorchs_index_nothing(tiny: Tiny) -> None:
    tiny.install()
    tiny.indexes.requests.clear()
    tiny.install("--extras", "more")
    assert not tiny.asked_of("cpu")
    assert tiny.installed["torch"] == "2.14.1+cpu"
    assert tiny.stamp == ["cpu", "more"]
    assert tiny.is_silent_without_a_network("--extras", "more")
    assert tiny.is_silent_without_a_network()


@LINUX_ONLY
def test_a_stamp_from_before_there_was_a_choice_is_understood(tiny: Tiny) -> None:
    tiny.install("--cuda")
    stamp = tiny.folder / ".venv" / "installed"
    stamp.write_text(stamp.read_text().replace("\ncuda\n", "\ndefault\n"))
    assert tiny.is_silent_without_a_network()
    assert tiny.is_silent_without_a_network("--cuda")
    assert "carries torch with CUDA" in tiny.try_install("--cpu").stdout
    tiny.install("--extras", "more")
    assert tiny.stamp == ["cuda", "more"]


def test_an_unknown_extra(tiny: Tiny) -> None:
    result = tiny.try_install("--extras", "nonsense")
    assert result.returncode == 1
    assert result.stdout == "scripts/install: no such extra: nonsense\n"


def test_an_interrupted_install_is_one_line(tiny: Tiny) -> None:
    begun = tiny.folder / "begun"
    pip = next((tiny.folder / ".venv" / "lib").glob("python*/site-packages/pip/__main__.py"))
    pip.write_text(f"import pathlib, signal; pathlib.Path({str(begun)!r}).touch(); signal.pause()")
    process = subprocess.Popen(
        ["scripts/install"],
        cwd=tiny.folder,
        env=os.environ | NO_NETWORK,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_until(begun.exists)
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: to the script and to pip
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert output.rstrip().endswith("run the same command again")
    assert not (tiny.folder / ".venv" / "installed").exists()
