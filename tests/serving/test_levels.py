"""What is read when it is scraped, of one process or of several."""

import os

from prometheus_client import CollectorRegistry

from app.serving.levels import LEVELS, Levels, Processes


def test_what_changes_all_the_time_is_read_when_scraped() -> None:
    registry, state = CollectorRegistry(), {"value": 1.0}
    registry.register(Levels(dict.fromkeys(LEVELS, lambda: state["value"])))
    assert {name: registry.get_sample_value(name) for name in LEVELS} == dict.fromkeys(LEVELS, 1.0)
    state["value"] = 7
    assert registry.get_sample_value("queue_depth") == 7


def test_processes_are_added_up() -> None:
    alone, together = CollectorRegistry(), CollectorRegistry()
    alone.register(Processes(lambda: [os.getpid()]))
    together.register(Processes(lambda: [os.getpid(), os.getppid()]))
    name = "process_resident_memory_bytes"
    one, both = alone.get_sample_value(name), together.get_sample_value(name)
    assert one
    assert both
    assert both > one
    start = "process_start_time_seconds"
    assert (together.get_sample_value(start) or 0) <= (alone.get_sample_value(start) or 0)


def test_a_process_that_is_gone_counts_nothing() -> None:
    registry = CollectorRegistry()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    registry.register(Processes(lambda: [os.getpid(), child]))
    assert registry.get_sample_value("process_resident_memory_bytes")
