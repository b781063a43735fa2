"""Images a second: of the bare network, and of the service with raw bodies and forms."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import httpx

from app.model.memory import give_back
from app.serving.gpu import find_gpus
from tests.system.gpu.bench import Bench
from tests.system.gpu.findings import Finding
from tests.system.gpu.load import Sampler, drive
from tests.system.load.benchmarks.network import bare_loop
from tests.system.load.servers import RunningServer, start_service
from tests.system.load.uploads import Wire

WIRES: tuple[Wire, ...] = ("raw", "multipart")
PANELS = ("gpu_memory_used_bytes", "gpu_memory_total_bytes", "gpu_utilization_ratio")


def check(bench: Bench) -> Iterator[Finding]:
    model = bench.load()
    best = 0.0
    for size in sorted({1, model.max_batch_size}):
        bare_loop(model, bench.pixels, size, 0)
        speed = bare_loop(model, bench.pixels, size, bench.seconds)
        best = max(best, speed)
        yield Finding("speed", f"bare network, batches of {size}", "info", f"{speed:.1f} images/s")
    del model
    give_back()  # the service is another process
    for fronts in bench.fronts:
        with start_service(**bench.environment(VGG_FRONTS=str(fronts))) as server:
            what = f"service, VGG_FRONTS={fronts}"
            yield Finding("speed", what, "info", f"ready after {server.ready_s:.1f} s; {server.memory().describe()}")
            drive(server.port, bench.uploads, max(bench.connections), min(1, bench.seconds), "raw")
            for wire, connections in product(WIRES, bench.connections):
                found = _measure(bench, server, connections, wire, best)
                yield replace(found, what=f"{what}, {found.what}")
            yield _panels(bench, server, what)


def _measure(bench: Bench, server: RunningServer, connections: int, wire: Wire, best: float) -> Finding:
    what = f"{connections} connections, {wire}"
    before = server.cpu()
    with Sampler(_busy(bench)) as busy:
        outcome = drive(server.port, bench.uploads, connections, bench.seconds, wire)
    answered = len(outcome.latencies)
    cpu_ms = 1000 * server.cpu().since(before).all / max(1, answered)
    share = "not known" if busy.mean is None else f"{busy.mean:.0%}"
    words = (
        f"{outcome.per_second:.1f} images/s, {outcome.per_second / best:.2f} of the bare network; "
        f"p50 {outcome.percentile_ms(50):.1f} ms, p99 {outcome.percentile_ms(99):.1f} ms; mean batch "
        f"{outcome.mean_batch:.1f}; device busy {share}; {cpu_ms:.2f} ms of the processor an image"
    )
    if outcome.wrong or set(outcome.statuses) != {"200"}:
        return Finding("speed", what, "fail", f"{words}; {dict(outcome.statuses)}, {outcome.wrong} wrong answers")
    return Finding("speed", what, "pass", words)


def _busy(bench: Bench) -> Callable[[], float] | None:
    """Share of time in which the device runs a kernel, as NVML counts it."""
    read = find_gpus() if bench.is_cuda else None
    if read is None:
        return None
    index = bench.torch_device.index or 0
    return lambda: next((gpu.utilization for gpu in read() if gpu.index == index), 0.0)


def _panels(bench: Bench, server: RunningServer, what: str) -> Finding:
    """What Grafana's panels of GPUs read, under load."""
    if not bench.is_cuda:
        return Finding("speed", f"{what}, /metrics of GPUs", "skip", "there is no device")
    lines = httpx.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10).text.splitlines()
    found = {name: [float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{")] for name in PANELS}
    words = ", ".join(f"{name} {values}" for name, values in found.items())
    good = all(found.values()) and all(value > 0 for name in PANELS[:2] for value in found[name])
    return Finding.judged("speed", f"{what}, /metrics of GPUs", good, words)
