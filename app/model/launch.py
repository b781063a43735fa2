"""How a batch gets onto the device, through the network and back.

``Plain`` is the way everywhere, unless preparation has measured another one on this very device and found that it
gains, with equal answers (``app/preparing/launch.py``). The others are CUDA's.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from app.model.receipt import Way

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

MOST_GRAPHS = 128  # each of a thread's: more shapes than that do without
_capturing = threading.Lock()  # one at a time in a process

Forward = Callable[[Tensor], Tensor]
"""On the device: uint8 (N, 3, height, width) -> fp32 logits (N, classes)."""
Finish = Callable[[Tensor], Sequence[Tensor]]
Launch = Callable[[Tensor, Finish], Sequence[Tensor]]
"""Pixels on the host, and what to make of the logits -> that, on the host."""


def launch_by(way: Way, forward: Forward, device: torch.device) -> Launch:
    if way == "plain":
        return Plain(forward, device)
    return Streamed(forward, device, graphs=way == "graphs")


class Plain:
    """One thing after the other."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward = forward
        self._device = device

    def __call__(self, pixels: Tensor, finish: Finish) -> Sequence[Tensor]:
        return [tensor.cpu() for tensor in finish(self._forward(pixels.to(self._device)))]


class Streamed:
    """Each thread has a stream of its own and page-locked memory at its host's end, so that copies go on while another
    thread's batch is computed. With ``graphs`` a batch of a shape that the thread has had before is launched at once,
    not layer by layer.
    """

    def __init__(self, forward: Forward, device: torch.device, *, graphs: bool) -> None:
        self._forward = forward
        self._device = device
        self._graphs = graphs
        self._mine = threading.local()

    def __call__(self, pixels: Tensor, finish: Finish) -> Sequence[Tensor]:
        lane: _Lane | None = getattr(self._mine, "lane", None)
        if lane is None:
            lane = self._mine.lane = _Lane(self._forward, self._device, graphs=self._graphs)
        with torch.cuda.stream(lane.stream):  # and its device is the current one
            answer = [tensor.to("cpu", non_blocking=True) for tensor in finish(lane.logits(pixels))]
            lane.stream.synchronize()
        return answer


class _Lane:
    """One thread's: whatever it has begun is done before it begins anew, so memory can be used again and again."""

    def __init__(self, forward: Forward, device: torch.device, *, graphs: bool) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._forward = forward
        self._device = device
        self._most_graphs = MOST_GRAPHS if graphs else 0
        self._graphs: dict[torch.Size, Callable[[], Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle() if graphs else None
        self._here = self._there = torch.empty(0, dtype=torch.uint8)

    def logits(self, pixels: Tensor) -> Tensor:
        """On the device, and the stream that is the current one; the next call may write over them."""
        there = self._bring(pixels)
        graph = self._graphs.get(there.shape)
        if graph is not None:
            return graph()
        logits = self._forward(there)  # plans are made and workspaces taken before anything is captured
        if len(self._graphs) < self._most_graphs:
            self._graphs[there.shape] = capture(self._forward, there, self.stream, self._pool)
        return logits

    def _bring(self, pixels: Tensor) -> Tensor:
        """To the same place of the device every time."""
        rows = pixels.permute(0, 2, 3, 1)  # as they lie in memory: no copy
        count = rows.numel()
        if count > self._here.numel():
            self._graphs.clear()  # what they read is about to go
            self._here = page_locked(count)
            self._there = torch.empty(count, dtype=torch.uint8, device=self._device)
        here, there = self._here[:count], self._there[:count]
        here.copy_(rows.reshape(-1))
        there.copy_(here, non_blocking=True)
        return there.view(rows.shape).permute(0, 3, 1, 2)


def page_locked(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.uint8, pin_memory=True)


def capture(
    forward: Forward, pixels: Tensor, stream: torch.cuda.Stream, pool: "_POOL_HANDLE | None"
) -> Callable[[], Tensor]:
    """What computes the logits of whatever lies in ``pixels`` when it is called. Graphs of one ``pool`` share memory,
    which is right as long as they follow each other on one stream.

    Other threads may use the device meanwhile: one that serves, one that loads a model.
    """
    graph = torch.cuda.CUDAGraph()
    with _capturing, torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        logits = forward(pixels)

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay
