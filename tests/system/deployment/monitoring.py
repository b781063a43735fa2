"""``--profile monitoring`` run for real: Prometheus scrapes, every alert fires once, every dashboard query answers."""

import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.settings import CHECKOUT
from tests.system.deployment.causes import CAUSES, Victim
from tests.system.deployment.compose import mounts_of, read_compose
from tests.system.deployment.host import Names, name_server, running
from tests.system.deployment.programs import output_of, require, say

PORT = 19090
ALERTS = CHECKOUT / "deploy" / "alerts.yml"
DASHBOARD = CHECKOUT / "deploy" / "grafana" / "dashboards" / "vgg16.json"
NEEDS_GPU = "gpu_"
ALL_GONE = "NobodyServes"
FIRE_S = 360


def check_monitoring() -> None:
    _lint()
    wanted = _alert_names()
    checked = {name for name in wanted if not name.startswith("Gpu")}
    require(checked == {*CAUSES, ALL_GONE}, f"alerts and causes differ: {checked ^ {*CAUSES, ALL_GONE}}")
    with name_server() as names, _prometheus() as client:
        victims: dict[str, Victim] = {}
        try:
            for number, (alert, cause) in enumerate(CAUSES.items(), 2):
                victims[alert] = Victim(f"127.1.0.{number}", cause.module, cause.arguments, cause.settings)
            for victim in victims.values():
                victim.wait_ready()
            names.set("vgg16", *(victim.host for victim in victims.values()))
            _wait_scraped(client, len(victims))
            quiet = _firing(client)
            require(not quiet, f"before any fault these fire: {quiet}")
            for alert, victim in victims.items():
                CAUSES[alert].afflict(victim)
            _wait_firing(client, {alert: victim.host for alert, victim in victims.items()})
            _run_dashboard(client)
        finally:
            for victim in victims.values():
                victim.end()
        _lose_all(client, names)


def _lint() -> None:
    folder = ALERTS.parent
    say(output_of(["promtool", "check", "config", "prometheus.yml"], cwd=folder).splitlines()[-1].strip())
    output_of(["promtool", "test", "rules", "alerts_test.yml"], cwd=folder)


def _alert_names() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


@contextmanager
def _prometheus() -> Iterator[httpx.Client]:
    """Debian's Prometheus with the compose file's command and files; only its data lie elsewhere."""
    compose = read_compose({})
    service = compose["services"]["prometheus"]
    files = {mount.target: Path(mount.source) for mount in mounts_of(compose, service) if mount.read_only}
    with tempfile.TemporaryDirectory() as data:
        command = [argument.replace("=/prometheus", f"={data}") for argument in service["command"]]
        address = f"127.0.0.1:{PORT}"
        extra = [f"--web.listen-address={address}", "--log.level=error"]
        with running(["prometheus", *command, *extra], files), httpx.Client(base_url=f"http://{address}") as client:
            yield client


def _query(client: httpx.Client, expression: str) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/query", params={"query": expression}, timeout=30).json()
    require(answer["status"] == "success", f"{expression}: {answer}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _wait_scraped(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            found = len(_query(client, 'up{job="vgg16"} == 1'))
        except httpx.TransportError:
            found = 0
        if found == count:
            return
        require(time.monotonic() < deadline, f"Prometheus scrapes {found} of {count} services")
        time.sleep(1)


def _firing(client: httpx.Client) -> set[tuple[str, str]]:
    found = _query(client, 'ALERTS{alertstate="firing"}')
    return {(one["metric"]["alertname"], one["metric"].get("instance", "").partition(":")[0]) for one in found}


def _wait_firing(client: httpx.Client, expected: dict[str, str]) -> None:
    """Each alert for its own victim. Others may fire there as well: who is overloaded is slow, too."""
    began = time.monotonic()
    waiting = set(expected.items())
    while waiting:
        for alert, host in sorted(waiting & _firing(client)):
            say(f"{alert} fires for {host}, {time.monotonic() - began:.0f} s after the last fault began")
            waiting.discard((alert, host))
        require(time.monotonic() - began < FIRE_S, f"these do not fire: {sorted(waiting)}")
        time.sleep(1)


def _run_dashboard(client: httpx.Client) -> None:
    """Every query of every panel, with Grafana's variables filled in as Grafana does."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
    answered = 0
    for title, expression in queries:
        found = _query(client, expression.replace("$__rate_interval", "1m").replace("$instance", ".*"))
        values = [float(one["value"][1]) for one in found]
        if NEEDS_GPU in expression:
            say(f"{title}: {len(values)} series (needs a GPU, not required here)")
            continue
        require(any(math.isfinite(value) for value in values), f"{title} has no data: {expression}")
        answered += 1
    say(f"{answered} of {len(queries)} dashboard queries return data")


def _lose_all(client: httpx.Client, names: Names) -> None:
    names.set("vgg16")
    began = time.monotonic()
    while (ALL_GONE, "") not in _firing(client):
        require(time.monotonic() - began < FIRE_S, f"{ALL_GONE} does not fire")
        time.sleep(1)
    say(f"{ALL_GONE} fires {time.monotonic() - began:.0f} s after the last replica is gone")
