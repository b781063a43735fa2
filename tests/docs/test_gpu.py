"""docs/gpu.md names every place of the product that only a GPU runs, and the check that runs it."""

import ast
import re
from collections.abc import Iterator

from tests.docs.documents import GPU
from tests.running import ROOT
from tests.system.gpu.command import CHECKS

# What a function mentions that does something else, or something at all, where there is a device.
MODULES = (
    "torch.cuda", "torch.backends.cuda", "torch.backends.cudnn", "torch.amp", "torch.autocast", "pynvml", "cuda.",
    "memory.give_back", "memory.within",
)  # fmt: skip


def places() -> set[tuple[str, str]]:
    """File and function of each."""
    found = set()
    for path in sorted((ROOT / "app").rglob("*.py")):
        for name, node in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if mentions(node):
                found.add((str(path.relative_to(ROOT)), name))
    return found


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Those of a module and of its classes; what lies in a function is the function's."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def mentions(function: ast.AST) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ("cuda", "nccl"):
            return True
        if isinstance(node, ast.keyword) and node.arg == "pin_memory":
            return True
        if isinstance(node, ast.Import) and any(alias.name in MODULES for alias in node.names):
            return True
        if isinstance(node, ast.Attribute) and f"{ast.unparse(node)}.".startswith(MODULES):
            return True
    return False


def rows() -> list[tuple[str, list[str], str]]:
    """File, functions, and the last cell."""
    return [
        (re.findall(r"`(app/[\w/]+\.py)`", file)[0], re.findall(r"`([\w.]+)`", names), check)
        for file, names, _, check in GPU.rows("file")
    ]


def test_every_place_that_only_a_gpu_runs_is_listed() -> None:
    listed = {(file, name) for file, names, _ in rows() for name in names}
    assert places() <= listed


def test_every_place_that_is_listed_exists() -> None:
    for file, names, _ in rows():
        defined = {name for name, _ in functions(ast.parse((ROOT / file).read_text(encoding="utf-8")))}
        assert set(names) <= defined, file


def test_every_one_names_a_check_that_exists_or_says_that_there_is_none() -> None:
    for file, names, check in rows():
        named = re.findall(r"`(\w+)`", check)
        assert named or check.startswith("none"), (file, names)
        assert set(named) <= CHECKS.keys(), (file, names)
