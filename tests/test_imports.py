"""The arrow, held: who may import whom, in the whole house."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.running import ROOT

# A room -> the rooms that it may import, besides itself. A room is a folder, or a module beside the folders.
MAY_IMPORT = {
    "app.errors": set(),
    "app.settings": {"app.errors"},
    "app.logs": set(),
    "app.image": {"app.errors"},
    "app.decoding": {"app.errors", "app.image"},
    "app.model": {"app.errors", "app.settings", "app.image.views"},
    "app.serving": {"app.errors", "app.settings", "app.decoding", "app.image", "app.model"},
    "app.page": set(),
    "app.http": {"app.errors", "app.settings", "app.decoding", "app.image.formats", "app.model", "app.serving"},
    "app.server": {"app.errors", "app.settings", "app.serving", "app.http"},
    "app.parts": {
        "app.errors",
        "app.settings",
        "app.decoding",
        "app.model",
        "app.serving",
        "app.http",
    },
    "app.processes": {"app.model", "app.serving", "app.http", "app.server", "app.parts"},
    "app.main": {
        "app.errors",
        "app.settings",
        "app.model",
        "app.serving",
        "app.http",
        "app.server",
        "app.parts",
        "app.processes",
    },
    "app.__main__": {"app.settings", "app.logs", "app.main", "app.server.run"},
    "app.openapi": {"app.settings", "app.main", "app.model"},
    "app.inspecting": {"app.errors", "app.settings", "app.model"},
    "app.predicting": {"app.errors", "app.settings", "app.image", "app.model"},
    "app.preparing": {"app.errors", "app.settings", "app.image", "app.model"},
    "app.heads": {"app.errors"},
    "app.training": {"app.errors", "app.settings", "app.image", "app.model", "app.heads"},
    "scripts": {"app", "tests.system"},
    "tests.system.load": {"app", "tests.pictures"},
    "tests.system.chaos": {"app", "tests.system.attacks", "tests.system.load"},
    "tests.system.fuzzing": {"app", "tests.decoders", "tests.system.attacks", "tests.system.load"},
    "tests.system.attacks": {"app"},
    "tests.system.gpu": {"app", "tests.system.load"},
    "tests.system.page": {"tests.pictures", "tests.running"},
    "tests.system.deployment": {"app", "tests.system.load"},
}
WEB = {"fastapi", "starlette", "uvicorn"}
TORCH = {"torch", "torchvision", "timm"}
# What the process that speaks HTTP reads before any network is loaded: torch would hold up /livez for seconds.
TORCH_FREE_ROOMS = {"app.errors", "app.settings", "app.logs", "app.decoding", "app.image", "app.serving", "app.http",
                    "app.server", "app.parts", "app.processes", "app.main"}  # fmt: skip
TORCH_FREE = {"app.image.reader", "app.image.views", "app.model.registry", "app.model.labels", "app.model.manifest",
              "app.model.evaluation", "app.model.looking", "app.model.wish",
              "app.model.files", "app.model.library", "app.model.selection", "app.preparing.download"}  # fmt: skip
# The servers that ours is measured against are written as their users write them.
PEERS = {f"tests.system.load.serve_{name}" for name in ("threaded", "litserve", "mosec", "triton")}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    _name(path): path
    for folder in ("app", "scripts", "tests/system")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.startswith("test_")
}


@cache
def imports(module: str) -> frozenset[str]:
    """Everything a module imports, inside functions and under ``TYPE_CHECKING`` too; of the house's own, the module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            base = node.module or ""
            inside = {f"{base}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inside or {base}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "enter":
            found.add(ast.literal_eval(node.args[0]))
    return frozenset(found)


def room_of(module: str) -> str:
    return max((room for room in MAY_IMPORT if f"{module}.".startswith(f"{room}.")), key=len, default=module)


def _roots(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_every_module_lives_in_a_room() -> None:
    strays = {module for module in MODULES if room_of(module) not in MAY_IMPORT}
    assert strays == {"app", "tests.system"}  # the houses' own docstrings


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_behind_it(module: str) -> None:
    room = room_of(module)
    allowed = MAY_IMPORT.get(room, set()) | {room}
    for name in imports(module):
        if name.split(".")[0] in ("app", "scripts", "tests"):
            assert any(f"{name}.".startswith(f"{one}.") for one in allowed), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(MODULES.keys() - PEERS))
def test_no_module_knows_both_torch_and_the_web(module: str) -> None:
    assert not (_roots(module) & TORCH and _roots(module) & WEB)


@pytest.mark.parametrize("module", MODULES)
def test_the_web_is_for_its_own_rooms(module: str) -> None:
    allowed = room_of(module) in ("app.http", "app.server", "app.processes", "app.main") or module in PEERS
    assert allowed or not _roots(module) & WEB


@pytest.mark.parametrize("module", MODULES)
def test_what_speaks_http_starts_without_torch(module: str) -> None:
    if module in TORCH_FREE or room_of(module) in TORCH_FREE_ROOMS:
        assert not _roots(module) & TORCH
    if module == "app.serving.batcher":
        assert not _roots(module) & {"numpy", "PIL", "pydantic"}


def test_there_are_no_cycles() -> None:
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for target in sorted(imports(module) & MODULES.keys()):
                visit(target, (*trail, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())
