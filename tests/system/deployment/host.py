"""The compose file's other services, run from Debian's packages, and the name server that Docker would be.

Each runs in a mount namespace of its own in which its files lie where the compose file mounts them.
"""

import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.deployment.programs import require

NAME_SERVER = "127.0.0.11"  # Docker's own address for it
RESOLVER = f"nameserver {NAME_SERVER}\n"


class Names:
    """Which addresses a name of the compose file's network has at the moment."""

    def __init__(self, file: Path, process: "subprocess.Popen[bytes]") -> None:
        self._file = file
        self._process = process
        self._addresses: dict[str, list[str]] = {}

    def set(self, name: str, *addresses: str) -> None:
        self._addresses[name] = list(addresses)
        lines = [f"{address} {name}\n" for name, found in self._addresses.items() for address in found]
        self._file.write_text("".join(lines), encoding="utf-8")
        self._process.send_signal(signal.SIGHUP)


@contextmanager
def name_server() -> Iterator[Names]:
    """dnsmasq in the place of Docker's name server."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hosts"
        file.touch()
        Path(folder).chmod(0o755)
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                   f"--addn-hosts={file}", f"--listen-address={NAME_SERVER}", "--bind-interfaces", "--local=/#/",
                   "--pid-file=", "--user=root"]  # fmt: skip
        with _running(command) as process:
            time.sleep(0.5)
            require(process.poll() is None, f"dnsmasq does not run on {NAME_SERVER}:53")
            yield Names(file, process)


@contextmanager
def running(
    command: Sequence[str], files: Mapping[str, Path], environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program that sees ``files`` (target -> source) in their places, and asks the name server above."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as resolver:
        resolver.write(RESOLVER)
        resolver.flush()
        script = _mounting({**files, "/etc/resolv.conf": Path(resolver.name)}) + f"exec {shlex.join(command)}"
        with _running(["unshare", "--mount", "sh", "-ec", script], environment) as process:
            yield process


def _mounting(files: Mapping[str, Path]) -> str:
    """Shell lines that put the files in place: what is not there yet goes into an empty folder over the nearest one.

    /mnt holds them meanwhile, since a source may be hidden too.
    """
    new = [Path(target) for target in files if not Path(target).exists()]
    hidden = {next(parent for parent in target.parents if parent.is_dir()) for target in new}
    lines = ["mount -t tmpfs tmpfs /mnt"]
    lines += [f"cp {shlex.quote(str(source))} /mnt/{number}" for number, source in enumerate(files.values())]
    lines += [f"mount -t tmpfs tmpfs {folder}" for folder in sorted(hidden)]
    for number, target in enumerate(files):
        place = f"mount --bind /mnt/{number} {target}"
        lines.append(
            f"if [ -e {target} ]; then {place}; else mkdir -p {Path(target).parent}; cp /mnt/{number} {target}; fi"
        )
    return "\n".join(lines) + "\n"


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
