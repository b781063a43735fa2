import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from app.errors import ModelError
from app.settings import Settings
from app.training.distributed import Ranks, choose_backend, choose_device, cpu_copy
from tests.running import ROOT, clean_environment

CPU = torch.device("cpu")
EXCHANGES = """
import sys
from pathlib import Path
import torch
from app.training.distributed import Ranks
ranks = Ranks(torch.device("cpu"))
cache = Path(sys.argv[1])
with ranks.one_after_the_first():
    assert cache.exists() is not ranks.is_first
    cache.touch()
assert ranks.gather(f"of {ranks.rank}") == ["of 0", "of 1"]
assert ranks.sum([1.0, ranks.rank]) == [2.0, 1.0]
assert ranks.agree(ranks.rank == 0) is True
assert ranks.agree(ranks.rank == 1) is False
layer = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.ones_(layer.weight)
wrapped = ranks.wrap(layer)
wrapped(torch.tensor([[1.0 + ranks.rank]])).sum().backward()
assert layer.weight.grad.item() == 1.5  # the mean of 1 and 2
with ranks.holding(cache.with_suffix(".lock"), "busy"):
    print("done", ranks.rank)
ranks.close()
"""


@pytest.mark.parametrize(("count", "world"), [(10, 3), (2, 5), (0, 2), (48, 1)])
def test_everything_is_somebodys_share_and_nobody_has_two_more_than_another(
    count: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks, shares = Ranks(CPU), []
    monkeypatch.setattr(ranks, "world", world)
    for rank in range(world):
        monkeypatch.setattr(ranks, "rank", rank)
        shares.append(range(count)[ranks.share(count)])
    assert [item for share in shares for item in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_every_exchange_is_the_identity() -> None:
    ranks, layer = Ranks(CPU), torch.nn.Linear(1, 1)
    assert ranks.is_first
    assert ranks.sum([1.5, 2]) == [1.5, 2]
    assert ranks.gather("mine") == ["mine"]
    assert ranks.agree(True) is True
    assert ranks.wrap(layer) is layer
    ranks.close()


def test_two_processes_exchange_what_they_have(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", EXCHANGES, str(tmp_path / "cache")],
            cwd=ROOT,
            env=clean_environment() | shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for rank, process in enumerate(processes):
            out, error = process.communicate(timeout=120)
            assert process.returncode == 0, error
            assert out == f"done {rank}\n"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_lock_keeps_other_runs_out_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with Ranks(CPU).holding(path):
        other = Ranks(CPU).holding(path, "somebody is here")
        with pytest.raises(ModelError, match="somebody is here"):
            other.__enter__()
    with Ranks(CPU).holding(path, "somebody is here"):
        assert path.exists()


def test_the_device_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device(Settings(device="cpu")) == CPU
    assert not torch.are_deterministic_algorithms_enabled()


def test_on_cuda_each_process_has_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr("app.training.distributed.resolve_device", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    try:
        assert choose_device(Settings(device="cuda")) == torch.device("cuda", 1)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert chosen == [torch.device("cuda", 1)]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # the user's own stays


def test_a_copy_does_not_follow_what_is_trained() -> None:
    tensor = torch.zeros(2, requires_grad=True)
    copy = cpu_copy({"a": tensor})["a"]
    with torch.no_grad():
        tensor += 1
    assert copy.tolist() == [0, 0]
    assert not copy.requires_grad


@pytest.mark.parametrize(
    ("device", "processes", "devices", "backend"),
    [("cpu", 2, 0, "gloo"), ("cuda", 2, 2, "nccl"), ("cuda", 1, 4, "nccl"), ("cuda", 2, 1, "gloo")],
)
def test_processes_that_share_a_device_talk_by_gloo(device: str, processes: int, devices: int, backend: str) -> None:
    assert choose_backend(torch.device(device), processes, devices) == backend
