"""One process or several (``torchrun``): who am I, and what do we know together."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from app.errors import ModelError
from app.model.network import resolve_device
from app.settings import Settings

T = TypeVar("T")
# The first process may decode 25,000 files before it meets the others.
TIMEOUT = timedelta(hours=4)
logger = logging.getLogger(__name__)


def choose_device(settings: Settings) -> torch.device:
    """The settings' device; with several processes on CUDA, each its own as far as they go round."""
    device = resolve_device(settings.device)
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        rank, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        device = torch.device("cuda", rank % devices if devices else rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return device


def choose_backend(device: torch.device, processes: int, devices: int) -> str:
    """How the processes of one machine talk. NCCL refuses two on one device; gloo does not, and takes longer."""
    if device.type != "cuda":
        return "gloo"
    if processes > devices:
        logger.warning("%d processes share %d CUDA devices: they exchange gradients by gloo.", processes, devices)
        return "gloo"
    return "nccl"


class Ranks:
    """The processes of a run; with a single one every exchange is the identity."""

    def __init__(self, device: torch.device) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.device = device
        if self.world > 1:
            here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            dist.init_process_group(choose_backend(device, here, torch.cuda.device_count()), timeout=TIMEOUT)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of ``count`` things are mine: consecutive ones, every one of them somebody's."""
        return slice(count * self.rank // self.world, count * (self.rank + 1) // self.world)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Element by element, over all processes; exact for counts."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def gather(self, mine: T) -> list[T]:
        """What each process has, in their order."""
        if self.world == 1:
            return [mine]
        everyone: list[Any] = [None] * self.world
        dist.all_gather_object(everyone, mine)
        return everyone

    def agree(self, decision: bool) -> bool:
        """The first process's decision."""
        if self.world == 1:
            return decision
        flag = torch.tensor([int(decision)], device=self.device)
        dist.broadcast(flag, 0)
        return bool(flag.item())

    @contextmanager
    def one_after_the_first(self) -> Iterator[None]:
        """The first process goes ahead; the others follow and find its work in the caches."""
        if not self.is_first:
            self.barrier()
        yield
        if self.is_first:
            self.barrier()

    @contextmanager
    def holding(self, path: Path, busy: str | None = None) -> Iterator[None]:
        """A lock for all processes of this run, against other runs.

        Waits for it, or with ``busy`` raises ``ModelError`` with that text.
        """
        lock = FileLock(path, timeout=-1 if busy is None else 0)
        try:
            if self.is_first:
                path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire()
        except Timeout as error:
            raise ModelError(busy) from error
        self.barrier()
        try:
            yield
            self.barrier()
        finally:
            lock.release()

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def wrap(self, trained: nn.Module) -> nn.Module:
        """The module to call while training: gradients are averaged over the processes."""
        if self.world == 1:
            return trained
        return DistributedDataParallel(trained, device_ids=[self.device] if self.device.type == "cuda" else None)

    def close(self) -> None:
        if self.world > 1:
            dist.destroy_process_group()


def cpu_copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
