"""torchvision's random transforms draw from the one generator of the process: here they draw from a seed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_drawing = threading.Lock()


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """One thread at a time draws from ``seed``; the generator is left as it was."""
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
