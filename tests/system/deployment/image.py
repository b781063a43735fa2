"""Build the Dockerfile for real, with buildah, where neither a Docker engine nor an image registry is at hand."""

import configparser
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.deployment.programs import BUILDAH, output_of, say

BASE = "docker.io/library/debian:bookworm-slim"
SUITE = "bookworm"
PIP_FILES = "/run/pip-of-the-host"


def have(image: str) -> bool:
    return (
        subprocess.run([*BUILDAH, "inspect", "--type", "image", image], capture_output=True, check=False).returncode
        == 0
    )


def make_base(mirror: str) -> None:
    """A stand-in for the official base image under its name: Debian's minimal system, made by debootstrap."""
    if have(BASE):
        say(f"{BASE} is here already")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        output_of(["debootstrap", "--variant=minbase", SUITE, str(root), mirror])
        archive = Path(folder) / "base.tar"
        output_of(["tar", "--directory", str(root), "--create", "--file", str(archive), "."])
        container = output_of([*BUILDAH, "from", "scratch"])
        output_of([*BUILDAH, "add", container, str(archive), "/"])
        output_of([*BUILDAH, "config", "--cmd", "bash", container])
        output_of([*BUILDAH, "commit", container, BASE])
        output_of([*BUILDAH, "rm", container])
    say(f"made a stand-in for {BASE} with debootstrap: it is not the official image")


def build(tag: str, arguments: dict[str, str], *, anew: bool) -> None:
    """Build the Dockerfile as it is; pip in it is told what pip on this machine is told."""
    if not anew and have(tag):
        say(f"{tag} is here already: not built again")
        return
    with pip_configuration() as volumes:
        command = [*BUILDAH, "bud", "--isolation", "chroot", "--format", "docker", "--pull-never", "--tag", tag]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for volume in volumes:
            command += ["--volume", volume]
        output_of([*command, str(CHECKOUT)])


def remove_image(tag: str) -> None:
    output_of([*BUILDAH, "rmi", tag])


@contextmanager
def pip_configuration() -> Iterator[list[str]]:
    """Volumes that carry this machine's pip configuration, and every file or folder that it names, into a build."""
    listed = output_of([sys.executable, "-m", "pip", "config", "list"])
    values = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        values[key.rpartition(".")[2]] = value.strip("'\"")
    volumes: list[str] = []
    for key, value in values.items():
        words = []
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                inside = f"{PIP_FILES}/{len(volumes)}"
                # An index keeps links to its files beside itself: the folder around it comes along.
                shared = path.parent if word.startswith("file://") else path
                volumes.append(f"{shared}:{inside}:ro")
                words.append(word.replace(str(shared), inside, 1))
            else:
                words.append(word)
        values[key] = " ".join(words)
    file = configparser.ConfigParser(interpolation=None)
    file["global"] = values
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as written:
        file.write(written)
        written.flush()
        Path(written.name).chmod(0o644)
        yield [*volumes, f"{written.name}:/etc/pip.conf:ro"]


def describe(root: Path) -> list[tuple[str, int]]:
    """What an image is made of: part -> MB (of 1,000,000 bytes) on disk, largest first, the whole at the end."""
    packages = next((root / "app/.venv/lib").glob("python*/site-packages"))
    parts = {f"{path.name} (Python package)": path for path in packages.iterdir() if path.is_dir()}
    nvidia = parts.pop("nvidia (Python package)", None)
    if nvidia is not None:
        parts |= {f"nvidia/{path.name}": path for path in nvidia.iterdir() if path.is_dir()}
    sizes = {name: _megabytes(path) for name, path in parts.items()}
    whole, app = _megabytes(root), _megabytes(root / "app")
    large = {name: size for name, size in sizes.items() if size >= 20}
    rows = sorted(large.items(), key=lambda row: -row[1])
    return [*rows, ("smaller packages and app/", app - sum(large.values())), ("Debian with Python", whole - app),
            ("all", whole)]  # fmt: skip


def _megabytes(path: Path) -> int:
    return round(int(output_of(["du", "--summarize", "--bytes", "--one-file-system", str(path)]).split()[0]) / 1e6)
