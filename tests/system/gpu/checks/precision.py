"""Does every precision answer as the CPU's fp32 does?"""

from collections.abc import Iterator

import numpy as np

from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding
from tests.system.load.benchmarks.precision import all_probabilities, compare

# The largest difference of a probability. The mantissa of fp16 and TF32 has ten bits, that of bf16 seven.
BOUNDS = {"fp32": 0.0005, "fp16": 0.02, "bf16": 0.12}


def check(bench: Bench) -> Iterator[Finding]:
    exact = all_probabilities(bench.load(device="cpu", precision="fp32"), bench.pixels)
    second, first = np.sort(exact, axis=1)[:, -2:].T
    for precision, bound in BOUNDS.items():
        found = all_probabilities(bench.load(precision=precision), bench.pixels)
        sure = first - second > 2 * bound
        same = (found.argmax(axis=1) == exact.argmax(axis=1))[sure].all()
        good = bool(same) and float(np.abs(found - exact).max()) <= bound
        yield Finding.judged("precision", f"{precision} against the CPU's fp32", good, compare(exact, found))
