"""Run a service of the compose file from an image that buildah made, with runc: no engine needed.

What the compose file says is what runs: user, read-only root, mounts, dropped capabilities, ``no-new-privileges``,
``init``, limits. Two things differ: the container shares this machine's network, with a loopback address of its own,
and there is no GPU.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system.deployment.compose import Mount, mounts_of, read_compose, size_bytes
from tests.system.deployment.programs import BUILDAH, output_of

INIT = "/usr/bin/tini-static"
DOCKERS_MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"]


@dataclass(frozen=True, slots=True)
class Image:
    """A mounted image: its files, and what its Dockerfile says about running it."""

    name: str
    root: Path
    config: Mapping[str, Any]


@contextmanager
def mounted(name: str) -> Iterator[Image]:
    """The image's root file system, for as long as the context lasts."""
    container = output_of([*BUILDAH, "from", "--pull-never", name])
    try:
        root = Path(output_of([*BUILDAH, "mount", container]))
        config = json.loads(output_of([*BUILDAH, "inspect", "--type", "image", name]))["Docker"]["config"]
        yield Image(name, root, config)
    finally:
        output_of([*BUILDAH, "rm", container])


class Container:
    """A running container: its process (runc in the foreground) and what to do to it."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", bundle: Path, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._bundle = bundle

    def kill(self, sig: signal.Signals) -> None:
        output_of(["runc", "kill", self.name, str(int(sig))])

    def run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        """A command beside the service, as ``docker exec`` would: this is how health checks run."""
        return subprocess.run(["runc", "exec", self.name, *command], capture_output=True, text=True, check=False)

    def status(self) -> dict[str, str]:
        """``/proc/PID/status`` of the container's first process, as the kernel sees it."""
        pid = json.loads(output_of(["runc", "state", self.name]))["pid"]
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def remove(self) -> None:
        if self.process.poll() is None:
            subprocess.run(["runc", "kill", self.name, "KILL"], capture_output=True, check=False)
            self.process.wait(30)
        subprocess.run(["runc", "delete", "--force", self.name], capture_output=True, check=False)
        shutil.rmtree(self._bundle, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Order:
    """Which service of the compose file to run, and what stands in the place of this machine's environment."""

    service: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """Fill in the compose file."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables on top of the compose file's."""
    volumes: Mapping[str, Path] = field(default_factory=dict)
    """A volume's name, or a host path of the compose file -> the path to mount."""
    command: Sequence[str] = ()
    """In the place of the compose file's, as ``docker compose run`` takes it."""
    extra: Mapping[Path, str] = field(default_factory=dict)
    """Files to mount read-only besides, as ``docker compose run --volume`` does."""


def start(image: Image, order: Order, name: str) -> Container:
    """Start a container under a name of its own; its output goes to a file."""
    compose = read_compose(order.variables)
    bundle = Path(tempfile.mkdtemp(prefix="bundle-"))
    spec = _spec(image, compose, order)
    (bundle / "config.json").write_text(json.dumps(spec), encoding="utf-8")
    log = bundle / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["runc", "run", "--bundle", str(bundle), name],
            stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return Container(name, process, bundle, log)


def _spec(image: Image, compose: Mapping[str, Any], order: Order) -> dict[str, Any]:
    service = compose["services"][order.service]
    uid, gid = (int(part) for part in service.get("user", image.config["User"]).split(":"))
    kept: list[str] = [] if service.get("cap_drop") == ["ALL"] else ["CAP_CHOWN"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": _arguments(image, service, order),
            "env": _environment(image, service, order),
            "cwd": image.config.get("WorkingDir") or "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "inheritable", "permitted"), kept),
            "noNewPrivileges": "no-new-privileges:true" in service.get("security_opt", ()),
        },
        "root": {"path": str(image.root), "readonly": bool(service.get("read_only"))},
        "mounts": [*_system_mounts(), *_mounts(compose, service, order)],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": DOCKERS_MASKED,
            "resources": {
                "memory": {"limit": size_bytes(service["mem_limit"])},
                "pids": {"limit": service["pids_limit"]},
            },
        },
    }


def _arguments(image: Image, service: Mapping[str, Any], order: Order) -> list[str]:
    """``entrypoint`` in a compose file does away with the image's command, as Docker does."""
    entrypoint = service.get("entrypoint", image.config.get("Entrypoint") or ())
    image_command = () if "entrypoint" in service else image.config.get("Cmd") or ()
    arguments = [*entrypoint, *(order.command or service.get("command", image_command))]
    return ["/sbin/docker-init", "--", *arguments] if service.get("init") else arguments


def _environment(image: Image, service: Mapping[str, Any], order: Order) -> list[str]:
    found = dict(entry.split("=", 1) for entry in image.config["Env"])
    found |= {key: str(value) for key, value in service.get("environment", {}).items()} | dict(order.settings)
    return [f"{key}={value}" for key, value in found.items()]


def _mounts(compose: Mapping[str, Any], service: Mapping[str, Any], order: Order) -> list[dict[str, Any]]:
    mounts = [_tmpfs(text) for text in service.get("tmpfs", ())]
    wanted = [*mounts_of(compose, service), *(Mount(str(path), to, True) for path, to in order.extra.items())]
    if service.get("init"):
        wanted.append(Mount(INIT, "/sbin/docker-init", read_only=True))
    for mount in wanted:
        source = order.volumes.get(mount.source, mount.source)
        options = ["rbind", "nosuid", "ro" if mount.read_only else "rw"]
        mounts.append({"destination": mount.target, "type": "bind", "source": str(source), "options": options})
    return mounts


def _system_mounts() -> list[dict[str, Any]]:
    shm = ["nosuid", "nodev", "noexec", "size=65536k"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": shm},  # noqa: S108 - in the container
    ]


def _tmpfs(text: str) -> dict[str, Any]:
    target, _, options = text.partition(":")
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options.split(",")}


def volume(path: Path, image: Image) -> Path:
    """A new named volume: Docker gives it the owner of the folder that it is mounted over."""
    path.mkdir()
    owner = (image.root / "store").stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    return path
