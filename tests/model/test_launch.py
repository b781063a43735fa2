"""How a batch is run; what only CUDA has is replaced by something that keeps its order."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from app.model import launch
from app.model.launch import Launch, Plain, Streamed, launch_by
from app.model.receipt import Way

CPU = torch.device("cpu")


def forward(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32).mean(dim=(2, 3))


def keep(logits: Tensor) -> Sequence[Tensor]:
    return (logits, logits + 1)


def pictures(count: int, first: int = 0) -> Tensor:
    """(N, 3, 4, 5), channels last."""
    grays = torch.arange(first, first + count, dtype=torch.uint8)
    return grays.view(-1, 1, 1, 1).expand(-1, 4, 5, 3).contiguous().permute(0, 3, 1, 2)


class FakeStream:
    def __init__(self, cuda: "FakeCuda") -> None:
        self._cuda = cuda

    def synchronize(self) -> None:
        self._cuda.done.append("synchronize")


class FakeCuda:
    """Does on the CPU what a stream would do, at once, and writes down what it was asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.captured: list[tuple[int, ...]] = []
        self.threads: list[str] = []
        patch.setattr("torch.cuda.Stream", self.make_stream)
        patch.setattr("torch.cuda.stream", self.use)
        patch.setattr("torch.cuda.graph_pool_handle", lambda: "pool")
        patch.setattr(launch, "page_locked", lambda count: torch.empty(count, dtype=torch.uint8))
        patch.setattr(launch, "capture", self.capture)

    def make_stream(self, device: torch.device) -> FakeStream:
        assert device == CPU
        self.threads.append(threading.current_thread().name)
        return FakeStream(self)

    def use(self, _: FakeStream) -> AbstractContextManager[None]:
        return nullcontext()

    def capture(
        self, forward: Callable[[Tensor], Tensor], pixels: Tensor, _: FakeStream, pool: object
    ) -> Callable[[], Tensor]:
        assert pool == "pool"
        self.captured.append(tuple(pixels.shape))

        def replay() -> Tensor:
            self.done.append("replay")
            return forward(pixels)

        return replay


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


@pytest.mark.parametrize("way", ["plain", "pinned", "graphs"])
def test_every_way_answers_alike(way: Way, cuda: FakeCuda) -> None:
    run: Launch = launch_by(way, forward, CPU)
    for count, first in ((3, 0), (3, 7), (5, 1), (2, 90), (3, 30)):
        logits, more = run(pictures(count, first), keep)
        expected = torch.arange(first, first + count, dtype=torch.float32)
        assert torch.equal(logits, expected[:, None].expand(-1, 3))
        assert torch.equal(more, logits + 1)
    assert isinstance(run, Plain if way == "plain" else Streamed)
    assert cuda.done.count("synchronize") == (0 if way == "plain" else 5)


def test_a_shape_is_captured_once_and_replayed_from_then_on(cuda: FakeCuda) -> None:
    run = launch_by("graphs", forward, CPU)
    for count in (3, 2, 3, 3, 2):
        run(pictures(count), keep)
    assert cuda.captured == [(3, 3, 4, 5), (2, 3, 4, 5)]
    assert cuda.done.count("replay") == 3


def test_graphs_go_with_the_memory_that_they_read(cuda: FakeCuda) -> None:
    run = launch_by("graphs", forward, CPU)
    for count in (2, 2, 4, 2):
        run(pictures(count), keep)
    assert [shape[0] for shape in cuda.captured] == [2, 4, 2]


def test_there_are_only_so_many_graphs(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MOST_GRAPHS", 2)
    run = launch_by("graphs", forward, CPU)
    for count in (4, 3, 2, 2, 1):
        assert run(pictures(count), keep)[0].shape == (count, 3)
    assert [shape[0] for shape in cuda.captured] == [4, 3]


def test_nothing_is_captured_where_no_graphs_are_wanted(cuda: FakeCuda) -> None:
    run = launch_by("pinned", forward, CPU)
    run(pictures(2), keep)
    run(pictures(2), keep)
    assert cuda.captured == []


def test_each_thread_has_its_own(cuda: FakeCuda) -> None:
    run = launch_by("graphs", forward, CPU)
    for name in ("one", "two"):
        thread = threading.Thread(target=run, args=(pictures(2), keep), name=name)
        thread.start()
        thread.join()
    assert cuda.threads == ["one", "two"]
    assert len(cuda.captured) == 2


def test_what_is_captured_is_replayed_into_the_same_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's interface wants it: the lane's stream and pool, and errors of its own thread alone."""
    calls: list[object] = []

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    @contextmanager
    def graph(captured: Graph, **options: object) -> Iterator[None]:
        assert isinstance(captured, Graph)
        calls.append(options)
        yield
        calls.append("captured")

    monkeypatch.setattr("torch.cuda.CUDAGraph", Graph)
    monkeypatch.setattr("torch.cuda.graph", graph)
    stream, pool, ran = object(), object(), torch.zeros(2, 3)
    replay = launch.capture(lambda _: ran, pictures(2), cast(Any, stream), cast(Any, pool))
    assert calls == [{"stream": stream, "pool": pool, "capture_error_mode": "thread_local"}, "captured"]
    assert replay() is ran
    assert calls[-1] == "replay"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("way", ["pinned", "graphs"])
def test_a_real_device_answers_alike(way: Way) -> None:
    device = torch.device("cuda")
    plain, other = launch_by("plain", forward, device), launch_by(way, forward, device)
    for count, first in ((3, 0), (3, 7), (5, 1), (3, 30)):
        batch = pictures(count, first)
        assert all(map(torch.equal, plain(batch, keep), other(batch, keep)))
