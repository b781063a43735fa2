"""What a decoder may do: use the memory and the processor that it is given, and nothing else.

A fault in a native decoder may hand its process to whoever made the picture. Without new descriptors there are no
files, no connections and no programs; Landlock, on a Linux that has it, refuses what needs no descriptor.
"""

import ctypes
import os
import resource
import signal
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
# The same numbers on every processor.
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
LANDLOCK_VERSION = 1
# What can be forbidden (linux/landlock.h), and since which version of Landlock.
FILES = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))  # read, write, make, run; move; cut; control
CONNECTIONS = ((4, 0b11),)  # TCP: bind, connect
OTHERS = ((6, 0b11),)  # abstract sockets, signals


def confine(parent: int) -> None:
    """Give up, for good, whatever a decoder has no need of; and end with ``parent``, the process that made this one.

    Raises ``OSError`` when the system refuses what it says it has.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option, value in ((PR_SET_PDEATHSIG, signal.SIGKILL), (PR_SET_DUMPABLE, 0), (PR_SET_NO_NEW_PRIVS, 1)):
            _checked(libc.prctl(option, value, 0, 0, 0))
        if os.getppid() != parent:  # it has ended before this one was bound to it
            os._exit(1)
        _landlock(libc)
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (0, 0))


def landlock_version(libc: ctypes.CDLL) -> int:
    """0 where the kernel has none, or it is switched off."""
    return max(0, int(libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)))


def _landlock(libc: ctypes.CDLL) -> None:
    """Forbid everything that this system's Landlock knows: a ruleset without a rule allows nothing."""
    version = landlock_version(libc)
    if not version:
        return
    known = [[bits for since, bits in kind if since <= version] for kind in (FILES, CONNECTIONS, OTHERS)]
    ruleset = b"".join(struct.pack("Q", sum(bits)) for bits in known if bits)
    descriptor = _checked(libc.syscall(LANDLOCK_CREATE_RULESET, ruleset, len(ruleset), 0))
    _checked(libc.syscall(LANDLOCK_RESTRICT_SELF, descriptor, 0))
    os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
