"""``docker-compose.yml`` as far as the checks run it: variables filled in, one service's options made explicit."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.settings import CHECKOUT

COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<when>[-+])(?P<text>[^}]*))?\}")
_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """``${NAME:-default}``: the default where the variable is unset or empty; ``${NAME:+text}``: the text where not."""

    def fill_in(match: re.Match[str]) -> str:
        value, other = variables.get(match["name"], ""), match["text"] or ""
        if match["when"] == "+":
            return other if value else ""
        return value or other

    return _VARIABLE.sub(fill_in, text)


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file as plain data, YAML's anchors and merges resolved; variables are filled in after parsing."""
    found: dict[str, Any] = _filled_in(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8")), variables)
    return found


def _filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled_in(one, variables) for one in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def size_bytes(text: str) -> int:
    """``64m`` -> 67108864."""
    return int(text[:-1]) * _UNITS[text[-1].lower()]


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, secret or file: ``source`` is a path on this machine or the name of a volume."""

    source: str
    target: str
    read_only: bool


def mounts_of(compose: Mapping[str, Any], service: Mapping[str, Any]) -> list[Mount]:
    """What a service sees of the outside, in the short forms that our file uses."""
    mounts = []
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        path = os.path.normpath(CHECKOUT / source) if source.startswith(".") else source
        mounts.append(Mount(path, target, "ro" in mode))
    for name in service.get("secrets", ()):
        source = os.path.normpath(CHECKOUT / Path(compose["secrets"][name]["file"]))
        mounts.append(Mount(source, f"/run/secrets/{name}", read_only=True))
    return mounts
