"""What counts as a device whose memory is full, and what becomes of that."""

import pytest
import torch

from app.model.memory import is_full, within

# As torch 2.14's libraries word them, with what stands before and after.
FULL = [
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "GET was unable to find an engine to execute this computation",
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9",
]
OTHER = [
    "CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
    "CUDA error: an illegal memory access was encountered",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "mat1 and mat2 shapes cannot be multiplied (1x9 and 8x8)",
]


@pytest.mark.parametrize("words", FULL)
def test_a_full_device_however_it_is_said(words: str) -> None:
    assert is_full(RuntimeError(words))
    assert is_full(torch.AcceleratorError(words))


@pytest.mark.parametrize("words", OTHER)
def test_anything_else_is_no_matter_of_size(words: str) -> None:
    assert not is_full(RuntimeError(words))
    assert not is_full(torch.AcceleratorError(words))


def test_types_and_codes_speak_for_themselves() -> None:
    assert is_full(torch.OutOfMemoryError("Tried to allocate 20.00 MiB"))
    for code, full in ((2, True), (710, False)):  # cudaErrorMemoryAllocation, cudaErrorAssert
        error = torch.AcceleratorError(f"CUDA error: {code}")
        vars(error)["error_code"] = code
        assert is_full(error) is full


def test_what_fails_because_something_in_it_did() -> None:
    """The end of a capture, for one."""
    error = torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
    assert not is_full(error)
    error.__context__ = torch.OutOfMemoryError("Tried to allocate 2.00 GiB")
    assert is_full(error)


def test_what_the_cpus_allocator_really_says() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_full(caught.value)


def test_what_does_not_fit_is_said_by_an_error_that_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = list[int]()
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given_back.append(1))
    with pytest.raises(LookupError, match="DefaultCPUAllocator") as caught:
        within(lambda: torch.empty(2**55, dtype=torch.uint8), LookupError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert given_back == [1]
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        within(lambda: torch.ones(1, 9) @ torch.ones(8, 8), LookupError)
    assert within(lambda: 5, LookupError) == 5
    assert given_back == [1]
