"""The compose file and the image's files, held to the settings; nothing here starts a container."""

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.decoding.pool import SLOW_FOR_EACH
from app.decoding.queues import Queues
from app.decoding.worker import FREE_BYTES
from app.errors import StartError
from app.http.callers import Callers
from app.image.cost import most_memory_bytes
from app.server.healthcheck import is_ready
from app.server.leave import CLOSING_S
from app.settings import Settings
from tests.dummy import DummyNetwork, dummy_model
from tests.pictures import png
from tests.running import ROOT, running
from tests.system.deployment.compose import interpolate, mounts_of, read_compose, size_bytes

COMPOSE = read_compose({})
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("vgg16-service")}
REPLICAS = [name for name, service in OURS.items() if "healthcheck" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEFAULTS = Settings.model_validate({})
RED = png((200, 10, 10))


def test_variables_are_filled_in_as_compose_does() -> None:
    assert interpolate("a ${X:-b}/${Y:-} ${Z}", {"Z": "c"}) == "a b/ c"
    assert interpolate("${X:-b}", {"X": ""}) == "b"
    assert interpolate("${X:+b}/${Y:+b}/${Z:+b}", {"X": "", "Y": "c"}) == "/b/"
    assert size_bytes("64m") == 64 * 2**20


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert "restart" in service
    assert not re.search(r":latest$", service["image"])
    assert ":" in service["image"]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_that_is_set_exists_and_the_defaults_are_the_services(name: str) -> None:
    for variable, value in OURS[name]["environment"].items():
        field = variable.removeprefix("VGG_").lower()
        assert field in Settings.model_fields, variable
        # What a user may set from outside is the service's own default where it is not set.
        if field in ("max_upload_mb", "max_files", "model"):
            assert str(value) == str(getattr(DEFAULTS, field)).removesuffix(".0"), variable
    assert "VGG_FALLBACK_MODEL" not in OURS[name]["environment"]  # strict


def started_as_by(service: str, variables: dict[str, str]) -> dict[str, Any]:
    """The settings that a container of this service gets, with secrets at their places on this machine."""
    compose = read_compose(variables)
    secrets = {mount.target: mount.source for mount in mounts_of(compose, compose["services"][service])}
    environment = compose["services"][service]["environment"]
    return {key.removeprefix("VGG_").lower(): secrets.get(value, value) for key, value in environment.items()}


@pytest.mark.parametrize("name", REPLICAS)
def test_a_plain_up_starts_without_keys_because_it_sets_none(name: str, network: DummyNetwork) -> None:
    changes = started_as_by(name, {})
    assert changes["api_keys_file"] == ""
    with running(dummy_model(network), **changes) as service:
        assert service.predict(RED).status_code == 200
        assert service.client.post("/models/vgg16/load").status_code == 403  # nobody manages


@pytest.mark.parametrize("name", REPLICAS)
def test_with_a_file_of_keys_the_api_is_closed(name: str, network: DummyNetwork, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("client\n")
    changes = started_as_by(name, {"API_KEYS_FILE": str(tmp_path / "keys"), "VGG_ADMIN_KEYS": "operator"})
    model = dummy_model(network)
    with running(model, **changes) as service:
        assert service.predict(RED).status_code == 401
        service.client.headers["X-API-Key"] = "client"
        assert service.predict(RED).status_code == 200
        assert service.client.post(f"/models/{model.name}/load").status_code == 403
        assert service.client.post(f"/models/{model.name}/load", headers={"X-API-Key": "operator"}).status_code == 200


def test_an_empty_file_of_keys_is_refused_and_not_an_open_api(network: DummyNetwork) -> None:
    changes = started_as_by("cpu", {"API_KEYS_FILE": "/dev/null"})
    with pytest.raises(StartError, match="is not a file"), running(dummy_model(network), **changes):
        pass


@pytest.mark.parametrize("name", REPLICAS)
def test_whoever_asks_by_address_gets_through_whatever_hosts_are_allowed(name: str, network: DummyNetwork) -> None:
    """The health check and Prometheus do."""
    changes = started_as_by(name, {"VGG_ALLOWED_HOSTS": "photos.example"})
    with running(dummy_model(network), **changes) as service:
        address = httpx.URL(service.url)
        assert is_ready(address.host, address.port or 80)
        assert service.client.get("/metrics").status_code == 200
        assert service.client.get("/models", headers={"host": "photos.example"}).status_code == 200
        assert service.client.get("/models", headers={"host": "evil.example"}).status_code == 421


def test_nobody_looks_at_grafana_without_its_password() -> None:
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert grafana["environment"]["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert "/run/secrets/grafana_password" in grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert "GF_SECURITY_ADMIN_PASSWORD" not in grafana["environment"]
    (secret,) = (mount for mount in mounts_of(COMPOSE, grafana) if mount.target == "/run/secrets/grafana_password")
    assert Path(secret.source).is_relative_to(ROOT)
    assert secret.read_only
    given = mounts_of(read_compose({"GRAFANA_PASSWORD_FILE": "/elsewhere"}), grafana)
    assert "/elsewhere" in {mount.source for mount in given}


def test_no_secret_of_the_compose_file_gets_into_git_or_the_image() -> None:
    files = [Path(secret["file"]) for secret in COMPOSE["secrets"].values()]
    ours = [str(file) for file in files if not file.is_absolute()]
    assert len(ours) == 2
    ignored = subprocess.run(["git", "check-ignore", *ours], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ignored.stdout.split() == ours
    patterns = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line]
    assert all(_ignored(os.path.normpath(file), patterns) for file in ours)


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_the_images_of_others_are_of_one_patch_version(name: str) -> None:
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", REPLICAS)
def test_the_grace_period_is_longer_than_the_drain(name: str) -> None:
    service = OURS[name]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > DEFAULTS.drain_delay_s + DEFAULTS.drain_timeout_s + CLOSING_S


@pytest.mark.parametrize("name", REPLICAS)
def test_what_clients_can_make_it_hold_fits_into_the_memory_limit(name: str) -> None:
    """The formula of docs/operations.md, and two gigabytes for the network and its libraries."""
    given = Settings.model_validate(started_as_by(name, {})).model_copy(update={"fronts": 4})
    uploads = (given.max_buffer_mb + 32) * 2**20 + given.max_connections * 200_000 + given.max_queue_size * 300_000
    decoders = max(given.decode_workers, given.fronts) * (1 + SLOW_FOR_EACH) * (FREE_BYTES + 9 * 2**20)
    large = Queues(most_memory_bytes(given.max_pixels, given.max_upload_bytes), most_long=1).most_large_bytes
    held = uploads + large + decoders + (85 + 130 * given.fronts) * 2**20
    assert held + 2 * 2**30 < size_bytes(OURS[name]["mem_limit"])


@pytest.mark.parametrize("name", REPLICAS)
def test_one_request_that_is_allowed_can_be_held_by_default(name: str) -> None:
    Settings.model_validate(started_as_by(name, {})).check_uploads()
    with pytest.raises(StartError, match="VGG_MAX_BUFFER_MB=512 "):
        Settings.model_validate(started_as_by(name, {"VGG_MAX_BUFFER_MB": "512"})).check_uploads()


@pytest.mark.parametrize("name", REPLICAS)
def test_what_the_proxy_says_of_its_callers_is_believed(name: str) -> None:
    callers = Callers(Settings.model_validate(started_as_by(name, {})).proxies)
    for proxy in ("172.18.0.5", "192.168.16.2"):
        scope = {"client": (proxy, 1), "headers": [(b"x-forwarded-for", b"192.0.2.7")]}
        assert callers.name(scope) == "192.0.2.7"


@pytest.mark.parametrize("name", REPLICAS)
def test_weights_are_prepared_before_the_service_starts_which_cannot_change_them(name: str) -> None:
    (prepare,) = OURS[name]["depends_on"]
    assert OURS[name]["depends_on"][prepare] == {"condition": "service_completed_successfully"}
    assert OURS[prepare]["restart"] == "no"
    assert OURS[prepare]["image"] == OURS[name]["image"]
    assert OURS[prepare].get("profiles", []) in ([], OURS[name].get("profiles"))  # `up cpu` may start it
    store = {one: next(m for m in mounts_of(COMPOSE, OURS[one]) if m.target == "/store") for one in (prepare, name)}
    assert store[prepare].source == store[name].source
    assert store[name].read_only
    assert not store[prepare].read_only


def test_what_is_mounted_from_the_checkout_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in mounts_of(COMPOSE, service)]
    ours = [mount for mount in mounts if Path(mount.source).is_relative_to(ROOT) and "secrets" not in mount.target]
    assert {"/etc/prometheus/alerts.yml"} <= {mount.target for mount in ours}
    assert [mount.source for mount in ours if not Path(mount.source).exists()] == []


def test_nothing_but_the_proxy_is_reachable_from_elsewhere_by_default() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", ())}
    assert {name for name, port in published.items() if not port.startswith("127.0.0.1:")} == {"proxy"}


def test_a_plain_up_starts_the_gpu_service_alone() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"prepare", "gpu"}


def test_no_service_for_a_gpu_can_end_up_on_the_cpu() -> None:
    for name, service in OURS.items():
        has_device = "devices" in service.get("deploy", {}).get("resources", {}).get("reservations", {})
        assert service["environment"]["VGG_DEVICE"] == ("cuda" if has_device else "cpu"), name
        assert has_device == (not name.endswith("cpu")), name


def test_the_check_of_a_device_changes_nothing_that_is_served() -> None:
    check = OURS["check-gpu"]
    assert check["profiles"] == ["check"]  # nothing but its own name starts it
    store = next(mount for mount in mounts_of(COMPOSE, check) if mount.target == "/store")
    assert store.read_only
    assert store.source == next(m for m in mounts_of(COMPOSE, OURS["gpu"]) if m.target == "/store").source
    assert check["build"]["target"] == "check-gpu"
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", DOCKERFILE, re.MULTILINE)
    assert ("service", "check-gpu") in stages
    assert stages[-1] == ("service", "")  # what is built where no target is named


def test_the_image_and_the_compose_file_check_health_alike() -> None:
    found = re.search(r"HEALTHCHECK (.*) CMD \[(.*)\]", DOCKERFILE)
    assert found
    options = dict(option.removeprefix("--").split("=") for option in found[1].split())
    command = [word.strip(' "') for word in found[2].split(",")]
    for name in REPLICAS:
        check = OURS[name]["healthcheck"]
        assert check["test"] == ["CMD", *command]
        assert {key.replace("_", "-"): str(value) for key, value in check.items() if key != "test"} == options


def test_each_image_carries_the_torch_that_its_service_needs() -> None:
    """Said by hand in both: while an image is built no device is seen."""
    assert 'scripts/install "--${TORCH}"' in DOCKERFILE
    assert "\nARG TORCH=cuda\n" in DOCKERFILE
    for name, service in OURS.items():
        assert service["build"]["args"].get("TORCH", "cuda") == ("cpu" if name.endswith("cpu") else "cuda"), name


def context() -> set[str]:
    """What the builder is given of the files that git knows or ignores: .dockerignore, its last matching line wins."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name]
    names += [".git/config", "models/vgg16/weights.safetensors", "models/mine/weights.safetensors",
              "models/mine/labels.csv",
              "models/vgg16/receipt.json", "models/vgg16/vgg16-397923af.pth.part", ".venv/pyvenv.cfg", "x.pth",
              "app/__pycache__/main.cpython-311.pyc", "app/weights.safetensors"]  # fmt: skip
    return {name for name in names if not _ignored(name, patterns)}


def _ignored(name: str, patterns: list[str]) -> bool:
    ignored = False
    parents = [name, *(str(parent) for parent in Path(name).parents)]
    for pattern in patterns:
        positive = pattern.removeprefix("!")
        for path in parents:
            same_depth = path.count("/") == positive.count("/") or "**" in positive
            if (fnmatch(path, positive) and same_depth) or (positive.startswith("**/") and fnmatch(path, positive[3:])):
                ignored = not pattern.startswith("!")
    return ignored


def test_the_builder_gets_what_it_needs_and_no_weights() -> None:
    given = context()
    tracked = {name for name in given if (ROOT / name).is_file() and "__pycache__" not in name}
    assert given == tracked  # none of the invented ones
    assert {"pyproject.toml", "requirements.lock", "scripts/install", "scripts/prepare_model.py"} <= given
    assert {"models/vgg16/manifest.json", "models/labels/imagenet1k.csv", "app/main.py", "app/http/routes.py"} <= given
    assert not any(name.startswith(("scripts/bench", "scripts/deploy", "deploy/", ".")) for name in given)
    tests = {name for name in given if name.startswith("tests/")}
    assert {"tests/__init__.py", "tests/system/gpu/command.py", "tests/system/load/client.py"} <= tests
    assert not any("deployment" in name or name.count("/") == 1 for name in tests - {"tests/__init__.py"})
