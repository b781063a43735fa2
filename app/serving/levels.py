"""What goes up and down, of all processes together, read when it is scraped."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

Read = Callable[[], float]
LEVELS = {
    "queue_oldest_age_seconds": "Age of the oldest waiting image.",
    "queue_depth": "Images waiting for a batch.",
    "requests_in_flight": "Requests between headers and answer.",
    "upload_buffer_bytes": "Bytes that uploads in flight hold or are charged for.",
    "connections": "Open connections.",
    "ready": "1 when the service is ready for traffic.",
}


class Levels(Collector):
    """``read`` has a function for each name in ``LEVELS``."""

    def __init__(self, read: Mapping[str, Read]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, text in LEVELS.items():
            yield GaugeMetricFamily(name, text, self._read[name]())


class Replaced(Collector):
    """Processes that have ended and were replaced; ``read`` has a function for each part that one may have."""

    def __init__(self, read: Mapping[str, Read]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "processes_replaced", "Processes that have ended and were replaced.", labels=["part"]
        )
        for part, read in self._read.items():
            family.add_metric([part], read())
        yield family


class Processes(Collector):
    """Memory, processor time and open files of several processes, summed; of their starts the first."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        nowhere = CollectorRegistry()
        found: dict[str, Metric] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=nowhere).collect():  # type: ignore[misc]
                found[metric.name] = _together(found[metric.name], metric) if metric.name in found else metric
        yield from found.values()


def _together(one: Metric, other: Metric) -> Metric:
    first = one.name.startswith("process_start_time")
    for position, (mine, yours) in enumerate(zip(one.samples, other.samples, strict=True)):
        value = min(mine.value, yours.value) if first else mine.value + yours.value
        one.samples[position] = mine._replace(value=value)
    return one
