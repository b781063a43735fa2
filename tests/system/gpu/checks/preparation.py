"""What preparation finds out on this device: the best batch size, and the best way to run a batch."""

from collections.abc import Iterator

from app.preparing import batch_size, launch
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding


def check(bench: Bench) -> Iterator[Finding]:
    """It stays in the receipt, and is what the service is measured with."""
    said: list[str] = []
    receipt = batch_size.measure_batch_size(bench.manifest, bench.settings(), said.append)
    yield Finding.judged("preparation", "batch size", bool(receipt.best_batch_size), said.pop())
    if not launch.has_choice(bench.settings()):
        yield Finding("preparation", "way to run a batch", "skip", "there is one way on a CPU")
        return
    launch.measure_launch(bench.manifest, bench.settings(), said.append)
    table, *faults = said
    yield Finding("preparation", "way to run a batch", "info", table)
    for fault in faults:  # with equal answers no way is out of question
        yield Finding("preparation", "way to run a batch", "fail", fault)
