"""Pack a function for Lambda, and try it before anybody uploads it."""

import contextlib
import hashlib
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.package.archive import pack, unpack
from infra.package.contents import own_files, wheel_files
from infra.package.failures import CannotPackage
from infra.package.imports import read_imports, read_tags
from infra.package.trial import find_interpreter, try_ffmpeg, try_handlers
from infra.package.wheels import wheels
from infra.template import TEMPLATE, load_template
from infra.web import CannotBuild, build

# The one that template.yaml names.
RUNTIME: Final = "python3.13"
OUTPUT: Final = TEMPLATE.parent / "build"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_UNPACKED_BYTES: Final = 262_144_000


@dataclass(frozen=True)
class Package:
    """A function's zip. `sha256` is in hexadecimal digits, `tried` says in words how it was tried."""

    name: str
    path: Path
    zip_bytes: int
    unpacked_bytes: int
    sha256: str
    tried: str


def names() -> tuple[str, ...]:
    """Return what can be packed: the folders of the functions in template.yaml."""
    return tuple(sorted({function.package for function in load_template().functions.values()}))


def package(
    name: str, *, runtime: str = RUNTIME, output: Path = OUTPUT, say: Callable[[str], None] = lambda _: None
) -> Package:
    """Write `output`/`name`.zip, and return what it is. `say` is told of each step that may take a while.

    `runtime` is named as Lambda names it. Same input, same bytes. A zip that is there is replaced at the end, at once.

    Raises:
        CannotPackage: it cannot be packed, or what was packed would not run.
    """
    handlers = sorted({each.handler for each in load_template().functions.values() if each.package == name})
    if not handlers:
        raise CannotPackage(f"There is no function {name!r}. There are: {', '.join(names())}.")
    if not re.fullmatch(r"python3\.1[1-9]", runtime):
        raise CannotPackage(f"There is no runtime {runtime!r}. Name it as Lambda does: {RUNTIME}.")
    output.mkdir(parents=True, exist_ok=True)
    # Beside the zip, so that it takes its place at once.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=output.absolute()) as scratch:
        unfinished = Path(scratch, "unfinished.zip")
        unpacked_bytes = _pack(name, runtime, unfinished, say)
        say(f"{name}: trying it")
        unpacked = Path(scratch, "unpacked")
        unpack(unfinished, unpacked)
        tried = _try(unpacked, runtime, handlers)
        with unfinished.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = unfinished.replace(output / f"{name}.zip")
    return Package(name, path, path.stat().st_size, unpacked_bytes, sha256, tried)


def _pack(name: str, runtime: str, archive: Path, say: Callable[[str], None]) -> int:
    """Write a zip that was not tried yet. Returns how many bytes it unpacks to. Raises CannotPackage."""
    requirements = TEMPLATE.parent / "requirements" / "functions" / f"{name}.txt"
    if not requirements.is_file():
        raise CannotPackage(
            f"requirements/functions/{name}.txt is missing. Add a dependency group {name} to pyproject.toml, name it "
            "in infra/local/lock.sh, and run `make lock`."
        )
    if name == "page":
        try:
            build(say)
        except CannotBuild as error:
            raise CannotPackage(str(error)) from error
    files = dict(own_files(name))
    with contextlib.ExitStack() as opened:
        say(f"{name}: getting its packages for {runtime}")
        for wheel in wheels(requirements, runtime):
            files |= wheel_files(opened.enter_context(zipfile.ZipFile(wheel)))
        unpacked_bytes = sum(file.size for file in files.values())
        if unpacked_bytes > MAX_UNPACKED_BYTES:
            raise CannotPackage(
                f"{name} unpacks to {unpacked_bytes:,} bytes, and Lambda takes {MAX_UNPACKED_BYTES:,}. "
                "Leave out what is not needed in infra/package/contents.py."
            )
        say(f"{name}: packing")
        pack(files, archive)
    return unpacked_bytes


def _try(folder: Path, runtime: str, handlers: list[str]) -> str:
    """Return how an unpacked zip was tried. Raises CannotPackage."""
    read_tags(folder, runtime)
    if (folder / "imageio_ffmpeg").is_dir():
        try_ffmpeg(folder)
    interpreter = find_interpreter(runtime)
    if interpreter is None:
        read_imports(folder, handlers)
        return "imports read"
    try_handlers(interpreter, folder, handlers)
    return "imported"
