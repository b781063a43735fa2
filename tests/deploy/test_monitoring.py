"""Rules and dashboard against what the service really exposes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.serving.gpu import Gpu, GpuCollector
from app.serving.metrics import Metrics
from tests.dummy import DummyNetwork, dummy_model
from tests.running import ROOT, running
from tests.system.deployment.causes import CAUSES

DEPLOY = ROOT / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/vgg16.json").read_text(encoding="utf-8"))
BY_PROMETHEUS = {"up", "ALERTS"}


@pytest.fixture(scope="module")
def exposed() -> Iterator[set[str]]:
    """The names of every sample, with a GPU."""
    with running(dummy_model(DummyNetwork())) as service:
        yield names_of(service.service.metrics)


def names_of(metrics: Metrics) -> set[str]:
    metrics.registry.register(GpuCollector(lambda: [Gpu(0, "A", 1, 2, 0.5)]))
    metrics.cancelled.labels("disconnect")
    metrics.released.labels("idle")
    metrics.connections_closed.labels("idle")
    metrics.model_loads.labels("ok")
    text = generate_latest(metrics.registry).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"([a-zA-Z_]\w*)\{", expression))


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


@pytest.mark.parametrize("expression", [*queries(), *(rule["expr"] for rule in RULES)])
def test_every_query_asks_for_metrics_that_exist(expression: str, exposed: set[str]) -> None:
    found = names_in(expression)
    assert found
    assert found <= exposed | BY_PROMETHEUS


def test_every_metric_of_ours_is_on_the_dashboard(exposed: set[str]) -> None:
    shown = {name for expression in queries() for name in names_in(expression)}
    ours = {name for name in exposed if not name.startswith(("process_", "python_")) and not name.endswith("_created")}
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert bases <= {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


def test_every_alert_has_a_fault_that_makes_it_fire() -> None:
    without = {rule["alert"] for rule in RULES} - set(CAUSES)
    assert without == {"NobodyServes", "GpuMemoryNearlyFull"}  # everybody gone at the end; promtool test rules
    assert "GpuMemoryNearlyFull" in (DEPLOY / "alerts_test.yml").read_text(encoding="utf-8")


def test_every_alert_says_where_and_how_bad() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        box = panel["gridPos"]
        cells = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


def test_the_proxys_words_are_the_contracts() -> None:
    from app.errors import NotFound, PayloadTooLarge
    from app.http.chinese import TITLES

    bodies = re.findall(r"string '(\{.*?\})'", (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8"))
    found = {(answer["status"], answer["code"], answer["title"]) for answer in map(json.loads, bodies)}
    assert found == {
        (error.status, error.code, title)
        for error in (NotFound, PayloadTooLarge)
        for title in (error.title, TITLES[error.code])
    }
