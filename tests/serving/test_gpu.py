import sys
from types import ModuleType, SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.serving.gpu import Gpu, GpuCollector, find_gpus
from tests.dummy import DummyNetwork, dummy_model
from tests.running import running

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


class FakeNvml(ModuleType):
    """As much of ``pynvml`` as is used: a machine whose devices can be lost and found."""

    class NVMLError(Exception):
        """What every function of the real one raises."""

    def __init__(self, *devices: Gpu, driver: bool = True) -> None:
        super().__init__("pynvml")
        self.driver = driver
        self.lost: set[int] = set()
        functions = {
            "nvmlInit": self._start,
            "nvmlDeviceGetCount": lambda: len(devices),
            "nvmlDeviceGetHandleByIndex": lambda index: devices[index],
            "nvmlDeviceGetName": lambda gpu: gpu.name,
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(gpu=round(100 * gpu.utilization)),
        }
        vars(self).update(functions)

    def _start(self) -> None:
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def _memory(self, gpu: Gpu) -> SimpleNamespace:
        if gpu.index in self.lost:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=gpu.memory_used_bytes, total=gpu.memory_total_bytes)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml(*TWO)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_the_service_exposes_every_device(nvml: FakeNvml, network: DummyNetwork) -> None:
    with running(dummy_model(network)) as service:
        found = samples(service.client.get("/metrics").text)
    assert found["gpu_memory_used_bytes", "0"] == 3 * 2**30
    assert found["gpu_utilization_ratio", "1"] == 1
    assert len(found) == 6


def test_a_device_that_cannot_be_read_is_left_out_until_it_can(
    nvml: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    read = find_gpus()
    assert read is not None
    nvml.lost.add(0)
    assert read() == [TWO[1]]
    assert "GPU 0 cannot be read: GPU is lost." in caplog.text
    nvml.lost.clear()
    assert read() == list(TWO)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (None, "nvidia-ml-py is not installed"),
        (FakeNvml(*TWO, driver=False), "Driver Not Loaded"),
        (FakeNvml(), "there is no device"),
    ],
    ids=["not installed", "no driver", "no device"],
)
def test_without_devices_there_are_no_such_metrics(
    module: FakeNvml | None,
    said: str,
    network: DummyNetwork,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    with caplog.at_level("DEBUG", "app.serving.gpu"), running(dummy_model(network)) as service:
        assert "gpu_" not in service.client.get("/metrics").text
    assert said in caplog.text


@pytest.mark.skipif(find_gpus() is None, reason="needs an NVIDIA GPU and the extra gpu")
def test_the_real_nvml_answers() -> None:
    read = find_gpus()
    assert read is not None
    for gpu in read():
        assert 0 < gpu.memory_used_bytes <= gpu.memory_total_bytes
        assert 0 <= gpu.utilization <= 1
