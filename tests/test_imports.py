"""The arrow, held: who may import whom."""

import ast
from pathlib import Path

import pytest

from tests.running import ROOT

APP = ROOT / "app"

# A module or package of app/ -> the parts of app/ that it may import, besides itself.
MAY_IMPORT = {
    "errors": set(),
    "settings": set(),
    "logs": set(),
    "listener": set(),
    "protocol": {"errors"},
    "metrics": set(),
    "gpu": set(),
    "healthcheck": set(),
    "lifecycle": {"errors"},
    "workers": set(),
    "batcher": {"errors", "workers"},
    "image": {"errors", "model.manifest"},
    "model": {"errors", "settings"},
    "pipeline": {"image", "batcher", "errors", "metrics", "workers", "model.labels", "model.registry"},
    "http": {"pipeline", "errors", "lifecycle", "metrics", "settings", "model.registry", "model.manifest"},
    "main": {
        "http",
        "pipeline",
        "batcher",
        "errors",
        "gpu",
        "lifecycle",
        "metrics",
        "model",
        "settings",
        "__version__",
    },
    "server": {"main", "http.service", "errors", "lifecycle", "listener", "protocol", "settings"},
    "__main__": {"server", "logs", "settings"},
    "__init__": set(),
}
TORCH_FREE = {"model.registry", "model.labels", "model.manifest", "model.store", "model.selection", "model.download"}


def modules() -> list[Path]:
    return sorted(APP.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Everything a module imports, also inside functions: ``app.x.y`` for parts of app."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module in PACKAGES else {module}
    return found


PACKAGES = {"app"} | {f"app.{folder.name}" for folder in APP.iterdir() if (folder / "__init__.py").exists()}


def part_of(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_a_module_imports_only_what_lies_behind_it(path: Path) -> None:
    part = part_of(path)
    allowed = MAY_IMPORT[part] | {part}
    for name in imports(path):
        if name.split(".")[0] != "app":
            continue
        target = name.removeprefix("app.")
        assert any(target == one or target.startswith(f"{one}.") for one in allowed), f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(APP)))
def test_no_module_knows_both_torch_and_fastapi(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not (roots & {"torch", "torchvision"} and roots & {"fastapi", "starlette"})
    name = ".".join(path.relative_to(APP).with_suffix("").parts)
    if name != "image.fast" and (not name.startswith("model.") or name in TORCH_FREE):
        assert not roots & {"torch", "torchvision"}
    if name == "batcher":
        assert not roots & {"numpy", "PIL", "pydantic"}


def test_there_are_no_cycles() -> None:
    graph = {
        ".".join(path.relative_to(APP.parent).with_suffix("").parts): {
            name for name in imports(path) if name.startswith("app.")
        }
        for path in modules()
    }

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        for target in graph.get(module, ()):
            visit(target, (*trail, module))

    for module in graph:
        visit(module, ())


def test_nothing_in_app_reaches_for_the_scripts() -> None:
    for path in modules():
        assert not any(name.split(".")[0] in ("scripts", "tests") for name in imports(path)), path
