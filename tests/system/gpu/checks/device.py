"""Is there a device, and does it fit this torch?"""

from collections.abc import Iterator

import torch

from app.model import cuda
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding

GIB = 2**30


def check(bench: Bench) -> Iterator[Finding]:
    if not bench.is_cuda:
        words = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        yield Finding("device", "processor", "info", words)
        return
    index = bench.torch_device.index or 0
    driver = _driver()
    oldest = cuda.OLDEST_DRIVER.get(str(torch.version.cuda).partition(".")[0], 0)
    words = f"{driver or 'not known (nvidia-ml-py is missing)'}; CUDA {torch.version.cuda} needs {oldest} or newer"
    yield Finding.judged("device", "driver", int((driver or "0").partition(".")[0]) >= oldest, words)
    capability, architectures = torch.cuda.get_device_capability(index), torch.cuda.get_arch_list()
    words = f"{torch.cuda.get_device_name(index)}, {capability}; this torch has code for {', '.join(architectures)}"
    yield Finding.judged("device", "architecture", cuda.covers(architectures, capability), words)
    free, total = torch.cuda.mem_get_info(index)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    words = f"{free / GIB:.1f} of {total / GIB:.1f} GiB are free; cuDNN {cudnn}"
    yield Finding("device", "memory", "info", words)
    matmul = torch.backends.cuda.matmul
    exact = matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
    kept = not (matmul.allow_fp16_reduced_precision_reduction or matmul.allow_bf16_reduced_precision_reduction)
    yield Finding.judged("device", "fp32 is fp32, sums are kept in it", exact and kept, f"TF32 off: {exact}, {kept}")


def _driver() -> str | None:
    try:
        import pynvml
    except ImportError:
        return None
    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())
