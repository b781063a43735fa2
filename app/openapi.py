"""The command behind ``scripts/openapi.py``: the OpenAPI document of this version, for readers and for generators."""

import argparse
import json
from pathlib import Path
from typing import Any

from app.main import create_app
from app.model.registry import LoadedModel
from app.model.selection import Selection
from app.settings import CHECKOUT, Settings

DOCUMENT = CHECKOUT / "docs" / "openapi.json"
UNCHANGED_VERSION = 1


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=DOCUMENT, help="where to write it (%(default)s)")
    path = parser.parse_args(arguments).file
    new, old = current(), json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if old is not None and new != old and new["info"]["version"] == old["info"]["version"]:
        print(f"The document differs from {path}, which is of the same version. Raise the version in pyproject.toml")
        print("(its second number, or its first for what breaks callers), then run scripts/install and this again.")
        return UNCHANGED_VERSION
    path.write_text(json.dumps(new, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{path} is the document of version {new['info']['version']}.")
    return 0


def current() -> dict[str, Any]:
    """The document that the service gives with default settings, whatever models it serves."""

    def load(name: str) -> LoadedModel:
        raise AssertionError(f"nothing is served here, {name} is never loaded")

    document: dict[str, Any] = create_app(Settings.model_construct(), load, Selection(("vgg16",))).openapi()
    return document
