import importlib.util

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.serving.gpu import Gpu, GpuCollector, find_gpus
from tests.running import RunningService

TWO = (Gpu(0, "A", 3 * 2**30, 80 * 2**30, 0.25), Gpu(1, "B", 0, 40 * 2**30, 1.0))


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels["gpu"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("gpu_")
    }


def test_every_device_has_its_memory_and_utilisation() -> None:
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: TWO))
    assert samples(generate_latest(registry).decode()) == {
        ("gpu_memory_used_bytes", "0"): 3 * 2**30,
        ("gpu_memory_used_bytes", "1"): 0,
        ("gpu_memory_total_bytes", "0"): 80 * 2**30,
        ("gpu_memory_total_bytes", "1"): 40 * 2**30,
        ("gpu_utilization_ratio", "0"): 0.25,
        ("gpu_utilization_ratio", "1"): 1.0,
    }


def test_devices_are_read_anew_at_every_scrape() -> None:
    readings = iter([TWO, TWO[:1]])
    registry = CollectorRegistry()
    registry.register(GpuCollector(lambda: next(readings)))
    assert len(samples(generate_latest(registry).decode())) == 6
    assert len(samples(generate_latest(registry).decode())) == 3


def test_the_service_says_as_much_of_gpus_as_there_are(service: RunningService) -> None:
    read = find_gpus()
    found = samples(service.client.get("/metrics").text)
    assert len(found) == 3 * len(read() if read else ())


@pytest.mark.skipif(importlib.util.find_spec("pynvml") is None, reason="needs the extra gpu")
def test_nvml_answers_or_is_done_without() -> None:
    read = find_gpus()
    for gpu in read() if read else ():
        assert 0 < gpu.memory_used_bytes <= gpu.memory_total_bytes
        assert 0 <= gpu.utilization <= 1
