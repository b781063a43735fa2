"""What a decoder may do: use the memory and the processor that it is given, and nothing else.

A fault in a native decoder may hand its process to whoever made the picture. Without new descriptors there are no
files and no connections; Landlock, on a Linux that has it, refuses what needs no descriptor; and a filter of system
calls leaves it threads, which some decoders want, but no processes, no programs, and no hold on other processes.
"""

import ctypes
import errno
import os
import platform
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

# Linux's audit.h and unistd.h: the architecture, the number of clone, and those of the calls that are refused: fork and
# vfork where there are such, execve and execveat, ptrace, process_vm_readv and _writev, kill, tkill, tgkill and
# rt_sigqueueinfo and rt_tgsigqueueinfo. What wants to abort cannot send itself the signal, and crashes instead.
PROCESSORS = {
    "x86_64": (0xC000003E, 56, (57, 58, 59, 322, 101, 310, 311, 62, 200, 234, 129, 297)),
    "aarch64": (0xC00000B7, 220, (221, 281, 117, 270, 271, 129, 130, 131, 138, 240)),
}
CLONE3 = 435
CLONE_THREAD = 0x10000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
# The machine that runs the filter (linux/bpf_common.h) and what it says of a call (linux/seccomp.h).
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
CALL, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
OTHER_INTERFACE = 0x40000000  # of x86-64 with short pointers


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
        _filter_calls(libc)
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
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


def _filter_calls(libc: ctypes.CDLL) -> None:
    """What makes a process or gets at one fails; on processors whose numbers are not known here nothing does."""
    if platform.machine() not in PROCESSORS:
        return
    architecture, clone, refused = PROCESSORS[platform.machine()]
    refusals = [(IF_AT_LEAST, OTHER_INTERFACE), *((IF_EQUAL, call) for call in refused)]
    steps = [(LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    steps += [(LOAD, 0, 0, CALL)]
    for test, number in refusals:
        steps += [(test, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look: without it, libraries use clone.
    steps += [(IF_EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
    steps += [(IF_EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST_ARGUMENT), (IF_ANY_BIT, 1, 0, CLONE_THREAD)]
    steps += [(RETURN, 0, 0, REFUSE | errno.EPERM), (RETURN, 0, 0, ALLOW)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    handle = struct.pack("HP", len(steps), ctypes.addressof(program))
    _checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, handle, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
