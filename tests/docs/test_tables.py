"""Every table that repeats what the code says, held to the code."""

import re

import yaml

from app import errors
from app.serving.gpu import Gpu, GpuCollector
from app.settings import Settings
from tests.docs.documents import API, DOCUMENTS, OPERATIONS, README, codes_in
from tests.running import ROOT, RunningService

EXPECTED_DEFAULTS = {
    "fronts": "a quarter of the cores",
    "decode_workers": "cores",
    "models_dir": "`models/`",
    "store_dir": "`models/`",
}


def settings_rows() -> dict[str, list[str]]:
    """What the table must say: setting -> default and meaning."""
    rows = {}
    for name, field in Settings.model_fields.items():
        default = "empty" if field.default in ((), "", None) else f"`{field.default}`"
        rows[f"`VGG_{name.upper()}`"] = [EXPECTED_DEFAULTS.get(name, default), field.description or ""]
    return rows


def test_every_setting_stands_in_the_table_with_its_default_and_meaning() -> None:
    documented = {name: rest for name, *rest in OPERATIONS.rows("setting")}
    assert list(documented) == list(settings_rows())
    assert documented == settings_rows()


def test_the_settings_of_the_readme_are_the_same() -> None:
    documented = {name: rest for name, *rest in README.rows("setting")}
    assert len(documented) > 5
    assert documented == {name: settings_rows()[name] for name in documented}


def test_every_setting_that_is_mentioned_exists() -> None:
    for document in DOCUMENTS:
        for name in re.findall(r"VGG_[A-Z_]*[A-Z]", document.text):
            assert name.removeprefix("VGG_").lower() in Settings.model_fields, f"{document}: {name}"


def test_the_limits_of_the_api_are_the_settings_defaults() -> None:
    limits = " ".join(limit for _, limit, _ in API.rows("limit on") if "VGG_" in limit)
    stated = re.findall(r"`VGG_(\w+)` \(([\d,]+)", limits)
    assert len(stated) > 5
    for name, value in stated:
        assert int(value.replace(",", "")) == Settings.model_fields[name.lower()].default, name


def test_every_code_of_the_contract_stands_in_the_table_with_its_status() -> None:
    documented = {(int(status), code) for status, codes, _ in API.rows("status") for code in codes_in(codes)}
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert documented == {(one.status, one.code) for one in classes if issubclass(one, errors.ServiceError)}


def test_every_endpoint_and_parameter_is_listed(service: RunningService) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    documented = {call for calls, _ in API.rows("endpoint") for call in codes_in(calls)}
    declared = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    assert documented == declared | {"GET /", "GET /docs", "GET /openapi.json"}
    named = {name for table in ("query parameter", "request header") for cell, _ in API.rows(table)
             for name in codes_in(cell)}  # fmt: skip
    assert {parameter["name"] for parameter in paths["/predict"]["post"]["parameters"]} <= named
    searched = [parameter["name"] for parameter in paths["/labels"]["get"]["parameters"]]
    assert searched == [name for cell, _ in API.rows("search parameter") for name in codes_in(cell)]


def test_every_metric_is_listed(service: RunningService) -> None:
    metrics = service.service.metrics
    metrics.registry.register(GpuCollector(lambda: [Gpu(0, "A", 1, 2, 0.5)]))
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", metrics.exposition().decode(), re.MULTILINE))
    exposed = {name for name in types if not name.startswith("process_") and not name.endswith("_created")}
    documented = {name.partition("{")[0] for names, _ in OPERATIONS.rows("metric") for name in codes_in(names)}
    assert documented == exposed | {"process_…"}


def test_every_alert_is_explained() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    documented = [name for alert, *_ in OPERATIONS.rows("alert") for name in codes_in(alert)]
    assert documented == [rule["alert"] for group in groups for rule in group["rules"]]


def test_every_variable_of_the_compose_file_is_listed_with_its_default() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", compose))
    documented = {name: default for names, default, _ in OPERATIONS.rows("variable") for name in codes_in(names)}
    assert set(documented) == set(used)
    for name, default in used.items():
        if default.isdecimal() or name in ("TAG", "TAG_CPU", "TAG_CHECK", "REVISION", "VGG_MODEL"):
            assert default in documented[name].replace("`", "").split(", "), name
