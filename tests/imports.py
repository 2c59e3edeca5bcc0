"""What code of ours imports, read from its files: also what it imports only when it is called."""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("functions", "infra")


def reached(modules: Iterable[str]) -> tuple[set[Path], set[str]]:
    """Return the files of ours that modules of ours lead to, and the distributions that bring the other modules."""
    files: set[Path] = set()
    others: set[str] = set()
    wanted = list(modules)
    seen: set[str] = set()
    while wanted:
        module = wanted.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.split(".")[0] not in OURS:
            others.add(module.split(".")[0])
        elif file := _file(module):
            files.add(file)
            wanted += _imports(ast.parse(file.read_text()))
            wanted.append(module.rpartition(".")[0] or module)
    brought_by = importlib.metadata.packages_distributions()
    others -= sys.stdlib_module_names
    return files, {_normal(min(brought_by.get(name, [name]))) for name in others}


def locked(name: str) -> dict[str, str]:
    """Return the versions in a lock file under requirements/, by distribution."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # What is imported from one of our packages may be a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.split(".")[0] in OURS)
        yield from _imports(node)


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
