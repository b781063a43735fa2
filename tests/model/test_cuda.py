"""Whether there is a device that can be used; a made-up one where this machine has none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from app.errors import ModelError
from app.model import cuda
from app.model.network import resolve_device

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]  # torch 2.14.1 with CUDA 13.0


@pytest.fixture(autouse=True)
def without_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Whatever this machine has; and what a device sets for the whole process is taken back."""
    kept = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision  # type: ignore[attr-defined]
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(cuda, "DEV", tmp_path)
    yield
    torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision = kept  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True


def plug_in(monkeypatch: pytest.MonkeyPatch, name: str = "Tesla T4", capability: tuple[int, int] = (7, 5)) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: name)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: WHEEL)


def test_an_old_driver_is_named_and_nothing_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040). Please update.\nMore.")

    monkeypatch.setattr("torch.cuda.init", init)
    with pytest.raises(ModelError) as caught:
        resolve_device("cuda")
    assert str(caught.value) == (
        "VGG_DEVICE=cuda, but there is no usable CUDA device: The NVIDIA driver on your system is too old (found "
        "version 12040). Please update. CUDA 13.0 needs NVIDIA's driver 580 or newer."
    )


def test_a_torch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    with pytest.raises(ModelError, match="installed without CUDA"):
        resolve_device("cuda:0")


def test_a_device_of_an_older_generation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, "Tesla V100-SXM2-16GB", (7, 0))
    with pytest.raises(ModelError, match=r"Tesla V100-SXM2-16GB \(compute capability 7\.0\) is none .* sm_75, sm_80"):
        resolve_device("cuda")


def test_a_device_beyond_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch)
    with pytest.raises(ModelError, match="there are 1 CUDA devices"):
        resolve_device("cuda:1")


def test_auto_says_that_it_leaves_a_device_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert resolve_device("auto") == torch.device("cpu")
    assert caplog.text == ""  # there is none
    (tmp_path / "nvidia0").touch()
    plug_in(monkeypatch, "GeForce GTX 1080", (6, 1))
    assert resolve_device("auto") == torch.device("cpu")
    assert "There is an NVIDIA device, but the CPU computes: GeForce GTX 1080" in caplog.text


def test_on_a_device_fp32_is_fp32_and_long_sums_are_kept_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch)
    torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined] # what torch begins with
    assert resolve_device("auto") == torch.device("cuda")
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
    matmul = torch.backends.cuda.matmul
    assert matmul.fp32_precision == "ieee"
    assert not matmul.allow_fp16_reduced_precision_reduction
    assert not matmul.allow_bf16_reduced_precision_reduction


@pytest.mark.parametrize(
    ("capability", "covered"),
    [((6, 1), False), ((7, 0), False), ((7, 5), True), ((8, 0), True), ((8, 9), True), ((9, 0), True), ((10, 0), True),
     ((10, 3), True), ((11, 0), False), ((12, 0), True), ((12, 1), True)],
)  # fmt: skip
def test_generations_that_the_wheel_covers(capability: tuple[int, int], covered: bool) -> None:
    assert cuda.covers(WHEEL, capability) is covered


def test_what_a_driver_compiles_runs_on_anything_newer() -> None:
    assert cuda.covers(["sm_90a", "compute_90"], (11, 0))
    assert not cuda.covers(["compute_90"], (8, 9))
