"""What goes into a function's zip."""

import functools
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from infra.package.archive import File
from infra.template import TEMPLATE

# The services of AWS that functions call, by botocore's names; sts is for roles. botocore knows four hundred.
AWS_SERVICES: Final = frozenset({"lambda", "s3", "secretsmanager", "ses", "sts"})
_BOTOCORE_FILES: Final = frozenset(
    {"_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json"}
)
_ROOT: Final = TEMPLATE.parent


def own_files(package: str) -> Iterator[tuple[str, File]]:
    """Yield, by name, the files of a folder under functions/ and of what all functions share."""
    functions = _ROOT / "functions"
    for path in (functions / "__init__.py", *(functions / package).rglob("*"), *(functions / "shared").rglob("*")):
        name = path.relative_to(_ROOT)
        if path.is_file() and "__pycache__" not in name.parts and not any(part[0] == "." for part in name.parts):
            yield name.as_posix(), _own(path)


def _own(path: Path) -> File:
    return File(lambda: path.open("rb"), path.stat().st_size)


def wheel_files(wheel: zipfile.ZipFile) -> Iterator[tuple[str, File]]:
    """Yield, by the name that each has once installed, the files of a wheel that a function needs.

    https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    for info in wheel.infolist():
        name = _installed(PurePosixPath(info.filename))
        if name and not info.is_dir() and is_needed(name):
            executable = bool(info.external_attr >> 16 & stat.S_IXUSR)
            yield str(name), File(functools.partial(wheel.open, info), info.file_size, executable)


def _installed(name: PurePosixPath) -> PurePosixPath | None:
    """Return where a file of a wheel is installed, seen from site-packages; None if it is elsewhere, as scripts are."""
    match name.parts:
        case (folder, kind, *rest) if folder.endswith(".data"):
            return PurePosixPath(*rest) if kind in {"purelib", "platlib"} else None
    return name


def is_needed(name: PurePosixPath) -> bool:
    """Say whether an installed file is needed to run a function."""
    match name.parts:
        case ("chalice", *rest):
            # The others are a tool that deploys.
            return rest in (["__init__.py"], ["app.py"])
        case ("boto3", "examples", *_):
            return False
        case ("boto3" | "botocore", "data", service, _, *_):
            return service in AWS_SERVICES
        case ("botocore", "data", file):
            return file in _BOTOCORE_FILES
        case (folder, "RECORD") if folder.endswith(".dist-info"):
            # It lists what is not there.
            return False
        case (*folders, _):
            return not {"__pycache__", "tests"} & set(folders)
    return True
