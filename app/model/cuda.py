"""CUDA before anything runs on it: whether there is a device for this torch, and that fp32 means fp32 there."""

from collections.abc import Sequence
from pathlib import Path

import torch

# The oldest driver for each CUDA, from the release notes of its toolkit (the table of minor version compatibility).
OLDEST_DRIVER = {"12": 525, "13": 580}
DEV = Path("/dev")


def why_not(index: int = 0) -> str | None:
    """Why this process cannot compute on a device, for an operator; ``None`` where it can."""
    if torch.version.cuda is None:
        return "this torch was installed without CUDA (scripts/install --cuda installs the other one)"
    if not torch.cuda.is_available():
        return f"there is no usable CUDA device: {_why_unavailable()}. {_needed_driver()}"
    if index >= torch.cuda.device_count():
        return f"there are {torch.cuda.device_count()} CUDA devices, counted from 0"
    capability, architectures = torch.cuda.get_device_capability(index), torch.cuda.get_arch_list()
    if not covers(architectures, capability):
        name, number = torch.cuda.get_device_name(index), "{}.{}".format(*capability)
        return f"{name} (compute capability {number}) is none that this torch has code for: {', '.join(architectures)}"
    return None


def is_there() -> bool:
    """Whether this machine, or this container, has an NVIDIA device at all."""
    return any(DEV.glob("nvidia[0-9]*")) or (DEV / "dxg").exists()


def covers(architectures: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether code for ``sm_XY`` (of the same generation, and not for a later member of it) or ``compute_XY``, which
    the driver compiles for whatever is newer, runs on a device of this capability."""
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        digits = digits.rstrip("af")  # sm_90a runs on 9.0 alone, sm_100f on its family
        code = int(digits[:-1]), int(digits[-1])
        if code <= capability and (kind == "compute" or code[0] == capability[0]):
            return True
    return False


def compute_exactly() -> None:
    """Let fp32 be fp32 and not TF32 with its ten bits, and keep sums of fp16 and bf16 products in fp32 to the end: the
    first linear layer of a VGG adds up 25,088 of them. For the whole process."""
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def _why_unavailable() -> str:
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0].removesuffix(".")
    return "the driver names none"


def _needed_driver() -> str:
    cuda = torch.version.cuda or ""
    driver = OLDEST_DRIVER.get(cuda.partition(".")[0])
    return f"CUDA {cuda} needs NVIDIA's driver{f' {driver} or newer' if driver else ''}"
