"""Read what was packed, where no Python of this machine could run it."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.package.failures import CannotPackage

_COMPILED_FOR = re.compile(r"\.cpython-(\d)(\d+)")


def read_imports(folder: Path, handlers: Iterable[str]) -> None:
    """Look that each module which handlers import is in an unpacked zip or in the standard library.

    Imports that a package makes only under a condition are left out; of our own functions all are looked at.

    Raises:
        CannotPackage: one is in neither, or cannot be read. It says which, and who imports it.
    """
    seen: set[str] = set()
    wanted = [(handler.rpartition(".")[0], handler) for handler in handlers]
    while wanted:
        module, importer = wanted.pop()
        if module in seen or module.split(".")[0] in sys.stdlib_module_names:
            continue
        seen.add(module)
        source = _find(folder, module)
        if source is None and not importer.startswith("functions.") and _find(folder, module.split(".")[0]):
            continue  # a package can make modules of its own when it is imported, as six does
        if source is None:
            raise CannotPackage(
                f"{importer} imports {module}, which is not in the zip. Name the package that brings it in the "
                "function's dependency group in pyproject.toml, and run `make lock`."
            )
        if source.suffix == ".py":
            tree = _parse(source, module)
            is_package = source.name == "__init__.py"
            wanted += [(name, module) for name in _imported(tree, module, folder, is_package=is_package)]


def read_tags(folder: Path, runtime: str) -> None:
    """Look that compiled modules were compiled for a runtime. Raises CannotPackage."""
    for path in folder.rglob("*.so"):
        tag = _COMPILED_FOR.search(path.name)
        if tag and f"python{tag[1]}.{tag[2]}" != runtime:
            raise CannotPackage(
                f"{path.relative_to(folder)} is compiled for another Python than {runtime}. "
                "Delete build/wheels and try again."
            )


def _parse(source: Path, module: str) -> ast.Module:
    try:
        return ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as error:
        raise CannotPackage(
            f"{module} cannot be read: {error}. If it is written for a newer Python than {sys.version_info[0]}."
            f"{sys.version_info[1]}, put that one on the PATH; then it is run instead."
        ) from error


def _find(folder: Path, module: str) -> Path | None:
    """Return the file of a module; of a package without one of its own, its folder."""
    path = folder.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    compiled = sorted(path.parent.glob(f"{path.name}.*so"))
    return compiled[0] if compiled else path if path.is_dir() else None


def _imported(tree: ast.Module, module: str, folder: Path, *, is_package: bool) -> Iterator[str]:
    package = module if is_package else module.rpartition(".")[0]
    for node in _nodes(tree, whole=module.startswith("functions.")):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            yield source
            # A name that is imported from a package may be a module of its own.
            submodules = (f"{source}.{alias.name}" for alias in node.names)
            yield from (name for name in submodules if _find(folder, name))


def _nodes(tree: ast.AST, *, whole: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif whole:
            yield from _nodes(node, whole=True)
