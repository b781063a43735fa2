"""When a device's memory is full: how that shows, and how what is free is given back."""

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

CUDA_ERROR_MEMORY_ALLOCATION = 2  # cudaErrorMemoryAllocation, in CUDA's driver_types.h
# torch has a type for its own allocator on a device. What else fails for want of memory is told by its text: the
# driver, the libraries' handles and workspaces, a plan for which no workspace could be had, and the CPU's allocator.
WORDS = (
    "CUDA error: out of memory",
    "CUDA ran out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # a handle for whose workspace there is no room
    "CUDNN_STATUS_ALLOC_FAILED",  # cuDNN 8; cuDNN 9 tells the two apart
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "was unable to find an engine to execute this computation",
    "DefaultCPUAllocator:",
)


def is_full(error: BaseException | None) -> bool:
    """Whether an error means that there was no memory left, and nothing worse; or one that was being handled when it
    came, as the end of a capture fails when something in it has."""
    while error is not None:
        is_allocation = getattr(error, "error_code", None) == CUDA_ERROR_MEMORY_ALLOCATION
        says_so = isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)
        if isinstance(error, torch.OutOfMemoryError) or is_allocation or says_so:
            return True
        error = error.__context__
    return False


def within(work: Callable[[], Result], when_full: Callable[[str], Exception]) -> Result:
    """What ``work`` gives. Where there is no memory for it, what it had is given back, and ``when_full`` makes the
    error that is raised then from the words of the first one, which it does not keep."""
    try:
        return work()
    except RuntimeError as error:
        if not is_full(error):
            raise
        words = str(error)
    # Out here the error is gone, and with it the frames that it went through and every tensor in them.
    give_back()
    raise when_full(words)


def give_back() -> None:
    """Give the device what torch holds of it and does not use. Does nothing where there is no CUDA.

    For whoever has left the ``except`` block: an exception keeps the frames that it went through, and with them every
    tensor in them (pytorch #18853).
    """
    torch.cuda.empty_cache()
