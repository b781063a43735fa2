"""Memory and utilisation of NVIDIA's GPUs in ``/metrics``, read by NVML when scraped.

nvidia-ml-py (the extra ``gpu``) is optional, and so is a GPU: without either there are simply no such metrics.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device as NVML sees it at this moment: of everybody who uses it, not of this process alone."""

    index: int
    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilization: float
    """Share of the last sample period in which a kernel was running, 0 to 1."""


Read = Callable[[], Sequence[Gpu]]


def find_gpus() -> Read | None:
    """What reads the devices, or ``None`` without nvidia-ml-py, a driver or a device; the log says which."""
    try:
        import pynvml  # optional
    except ImportError:
        logger.debug("nvidia-ml-py is not installed: no GPU metrics.")
        return None
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    except pynvml.NVMLError as error:
        logger.debug("No GPU metrics: %s.", error)
        return None
    if not handles:
        logger.debug("No GPU metrics: there is no device.")
        return None

    def read() -> list[Gpu]:
        found = []
        for index, (handle, name) in enumerate(zip(handles, names, strict=True)):
            try:
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                busy_percent = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
            except pynvml.NVMLError as error:  # fallen off the bus, or a part (MIG) that has no utilisation
                logger.warning("GPU %d cannot be read: %s.", index, error)
                continue
            found.append(Gpu(index, name, memory.used, memory.total, busy_percent / 100))
        return found

    return read


class GpuCollector(Collector):
    """Turns readings into metrics; the labels tell devices apart."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ["gpu", "name"]
        used = GaugeMetricFamily("gpu_memory_used_bytes", "Device memory used by all processes.", labels=labels)
        total = GaugeMetricFamily("gpu_memory_total_bytes", "Memory of the device.", labels=labels)
        busy = GaugeMetricFamily("gpu_utilization_ratio", "Share of time in which a kernel was running.", labels=labels)
        for gpu in self._read():
            values = [str(gpu.index), gpu.name]
            used.add_metric(values, gpu.memory_used_bytes)
            total.add_metric(values, gpu.memory_total_bytes)
            busy.add_metric(values, gpu.utilization)
        yield from (used, total, busy)


def watch_gpus(registry: CollectorRegistry) -> None:
    """Add the devices to what is scraped, if there are any."""
    read = find_gpus()
    if read is not None:
        registry.register(GpuCollector(read))
