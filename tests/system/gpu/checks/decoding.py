"""nvJPEG, which the service does not use, beside the way it decodes: what there would be to gain."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from time import perf_counter

import torch

from app.image.reader import Reader
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding

BATCH, BATCHES = 32, 8


def check(bench: Bench) -> Iterator[Finding]:
    settings = bench.settings()
    reader, views = Reader(settings.max_pixels, exact=False), bench.manifest.preprocessing.centre_crop()
    own = _speed(bench.jpegs, lambda jpegs: [reader.read(jpeg, views) for jpeg in jpegs])
    yield Finding("decoding", "as served, resized, one core", "info", f"{own:.0f} images/s")
    what = f"torchcodec on {bench.device}, batches of {BATCH}, not resized"
    try:
        from torchcodec.decoders import decode_jpeg
    except ImportError:
        yield Finding("decoding", what, "skip", "torchcodec is not installed")
        return

    def decode(jpegs: Sequence[bytes]) -> None:
        decode_jpeg(list(jpegs), device=bench.device)
        if bench.is_cuda:
            torch.cuda.synchronize(bench.torch_device)

    try:
        speed = _speed(bench.jpegs, decode)
    except (RuntimeError, NotImplementedError) as error:  # it is built without, or there is no libnvjpeg
        yield Finding("decoding", what, "skip", str(error).partition("\n")[0])
    else:
        yield Finding("decoding", what, "info", f"{speed:.0f} images/s, {speed / own:.1f} x as served")


def _speed(jpegs: Sequence[bytes], decode: Callable[[Sequence[bytes]], object]) -> float:
    """Images per second."""
    batch = list(islice(cycle(jpegs), BATCH))
    decode(batch)
    began = perf_counter()
    for _ in range(BATCHES):
        decode(batch)
    return BATCH * BATCHES / (perf_counter() - began)
