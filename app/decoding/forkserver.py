"""A small clean process that makes decoders: it has imported all that they need, and shares that memory with them.

``python -m app.decoding.forkserver CONTROL MEMORY MAX_PIXELS MODE`` speaks over the socket CONTROL, a message a line:
``fork N``, with the socket of decoder N beside it, and ``kill N`` come in; ``forked N PID`` and ``ended N STATUS`` (of
``waitpid``) go out. As the decoders' parent it never signals a stranger who has got the number of one that is gone.
"""

import gc
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import NamedTuple, NoReturn

from app.decoding.confine import confine
from app.decoding.messages import MESSAGE_BYTES
from app.decoding.warm_up import warm_up
from app.decoding.worker import Worker

# On Linux messages are not joined; elsewhere they are shorter than what is taken apart.
KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_STREAM
MOST_DESCRIPTORS = 64
MODULE = "app.decoding.forkserver"
# What may be known of the surroundings: no keys, no passwords.
KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "PYTHONPATH", "PYTHONHOME")
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a process forks best without threads


class Terms(NamedTuple):
    """What every decoder of a service is told."""

    memory: int
    """The descriptor of the shared block."""
    max_pixels: int
    exact: bool

    def arguments(self) -> list[str]:
        return [str(self.memory), str(self.max_pixels), "exact" if self.exact else "fast"]

    @classmethod
    def parse(cls, arguments: list[str]) -> "Terms":
        memory, max_pixels, mode = arguments
        return cls(int(memory), int(max_pixels), mode == "exact")


def launch(terms: Terms) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start a fork server; the process, and the other end of its socket, which does not block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, KIND)
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), *terms.arguments()],
            env=ENVIRONMENT | {name: os.environ[name] for name in KEPT if name in os.environ},
            pass_fds=(theirs.fileno(), terms.memory),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the service
        )
    ours.setblocking(False)
    return process, ours


class ForkServer:
    """Serves one service, and ends with it."""

    def __init__(self, control: socket.socket, terms: Terms, *, forks: bool) -> None:
        self._control = control
        self._terms = terms
        self._make = self._fork if forks else self._spawn
        self._numbers: dict[int, int] = {}

    def serve(self) -> None:
        """Until the service closes its end of the socket."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            readable, _, _ = select.select([self._control.fileno(), woken], [], [])
            if woken in readable:
                with suppress(BlockingIOError):
                    os.read(woken, MESSAGE_BYTES)
                self._bury()
            if self._control.fileno() in readable and not self._listen():
                break
        for pid in self._numbers:
            os.kill(pid, signal.SIGKILL)

    def _listen(self) -> bool:
        """Do what is asked for; whether there will be more."""
        try:
            messages, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, MOST_DESCRIPTORS)
        except ConnectionResetError:  # the service has ended without hearing all that it was told
            return False
        for line in messages.decode().splitlines():
            word, number = line.split()
            if word == "fork":
                pid = self._make(descriptors.pop(0))
                self._numbers[pid] = int(number)
                self._tell(f"forked {number} {pid}")
            else:
                self._kill(int(number))
        return bool(messages)

    def _kill(self, number: int) -> None:
        for pid, its_number in self._numbers.items():
            if its_number == number:
                os.kill(pid, signal.SIGKILL)

    def _bury(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._tell(f"ended {self._numbers.pop(pid)} {status}")

    def _tell(self, message: str) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the service has ended, which the next look will show
            self._control.send(f"{message}\n".encode())

    def _fork(self, connection: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            self._control.close()
            become_decoder(connection, self._terms, parent)
        os.close(connection)
        return pid

    def _spawn(self, connection: int) -> int:
        """For systems where a process that has loaded such libraries cannot be forked."""
        decoder = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", MODULE, "--decoder", str(connection), *self._terms.arguments()],
            pass_fds=(connection, self._terms.memory),
        )
        os.close(connection)
        decoder.returncode = 0  # it is this server that waits for it
        return decoder.pid


def become_decoder(descriptor: int, terms: Terms, parent: int) -> NoReturn:
    """Be a decoder until the service closes the other end of that socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # native decoders write what they think of a file
        os.dup2(nowhere, stream)
    with socket.socket(fileno=descriptor) as connection, mmap.mmap(terms.memory, 0) as memory:
        worker = Worker(connection, memory, terms.max_pixels, exact=terms.exact)
        confine(parent)
        with suppress(BrokenPipeError, ConnectionResetError):  # nobody is there any more
            worker.serve()
        os._exit(0)


def main(arguments: list[str]) -> None:
    for sig in (signal.SIGINT, signal.SIGTERM):  # whoever stops the service may tell everybody; it is the one to go
        signal.signal(sig, signal.SIG_IGN)
    warm_up()
    if arguments[0] == "--decoder":
        become_decoder(int(arguments[1]), Terms.parse(arguments[2:]), os.getppid())
    gc.collect()
    gc.freeze()  # what is shared stays shared: no collection writes to it
    control = socket.socket(fileno=int(arguments[0]))
    ForkServer(control, Terms.parse(arguments[1:]), forks=sys.platform == "linux").serve()


if __name__ == "__main__":
    main(sys.argv[1:])
