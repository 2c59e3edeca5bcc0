"""How a packed function is tried before it is uploaded, and where its packages come from: with small ones made here."""

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from infra.package import wheels as wheels_module
from infra.package.failures import CannotPackage
from infra.package.imports import read_imports, read_tags
from infra.package.trial import find_interpreter, try_ffmpeg, try_handlers
from infra.package.wheels import wheels

THIS_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# Imported


def test_a_handler_is_imported_by_a_python_that_knows_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the tests run with is installed here, and a module of this name is on PYTHONPATH; on Lambda neither is."""
    write(tmp_path / "elsewhere", {"found_here.py": ""})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    folder = write(tmp_path / "zip", {"functions/x/app.py": "import sys, found_here"})
    with_pytest = write(tmp_path / "zip2", {"functions/x/app.py": "import pytest"})

    with pytest.raises(CannotPackage) as caught:
        try_handlers(Path(sys.executable), folder, ["functions.x.app.handler"])
    assert str(caught.value) == (
        "functions.x.app.handler cannot be imported from the zip: ModuleNotFoundError: No module named 'found_here'. "
        "If a package is missing, name it in the dependency group x of pyproject.toml and run `make lock`."
    )
    with pytest.raises(CannotPackage, match="No module named 'pytest'"):
        try_handlers(Path(sys.executable), with_pytest, ["functions.x.app.handler"])


def test_all_handlers_of_a_zip_are_imported(tmp_path: Path):
    """auth.zip has two: the routes and the authorizer."""
    folder = write(tmp_path, {"functions/x/app.py": "app = print", "functions/x/other.py": ""})

    with pytest.raises(CannotPackage, match=r"module 'functions\.x\.other' has no attribute 'handler'"):
        try_handlers(Path(sys.executable), folder, ["functions.x.app.app", "functions.x.other.handler"])

    write(tmp_path, {"functions/x/other.py": "handler = print"})
    try_handlers(Path(sys.executable), folder, ["functions.x.app.app", "functions.x.other.handler"])
    assert not list(folder.rglob("*.pyc"))


def test_a_python_of_the_runtime_is_found_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Under the runtime's name may lie another Python, or a wrapper that starts none."""
    wrapper = tmp_path / "python3.99"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    broken = tmp_path / "python3.98"
    broken.write_text("#!/bin/sh\necho none is chosen >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    found = find_interpreter(THIS_PYTHON)

    assert found is not None
    assert found.samefile(sys.executable)
    assert [find_interpreter(runtime) for runtime in ("python3.97", "python3.98", "python3.99")] == [None] * 3


# Read


FUNCTION = {"functions/x/__init__.py": "", "functions/__init__.py": "", "functions/shared/__init__.py": ""}


def test_a_module_that_a_function_imports_only_when_called_must_be_there(tmp_path: Path):
    """Nobody would see it before that call."""
    folder = write(
        tmp_path, {**FUNCTION, "functions/x/app.py": "def handler(event, context):\n    import missing.part"}
    )

    with pytest.raises(CannotPackage, match=r"^functions\.x\.app imports missing\.part, which is not in the zip\."):
        read_imports(folder, ["functions.x.app.handler"])


def test_what_a_package_imports_whenever_it_is_imported_must_be_there(tmp_path: Path):
    """A package that ours needs can be missing in the lock file of a function as well."""
    files = {
        **FUNCTION,
        "functions/x/app.py": "from functions.shared.tool import use",
        "functions/shared/tool.py": "import json\nfrom package.inner import thing as use",
        "package/__init__.py": "try:\n    import optional\nexcept ImportError:\n    optional = None",
        "package/inner/__init__.py": "from . import beside\nfrom ..above import thing",
        "package/inner/beside.py": "if True:\n    import for_another_system",
        "package/above.py": "import needed\nthing = 1",
    }
    folder = write(tmp_path, files)

    with pytest.raises(CannotPackage, match=r"^package\.above imports needed, which is not in the zip\."):
        read_imports(folder, ["functions.x.app.handler"])

    write(tmp_path, {"needed.cpython-313-x86_64-linux-gnu.so": ""})
    read_imports(folder, ["functions.x.app.handler"])


def test_what_only_a_type_checker_imports_need_not_be_there(tmp_path: Path):
    """Stubs are for those who write the code."""
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import stubs\nimport package"
    folder = write(tmp_path, {**FUNCTION, "functions/x/app.py": text, "package.py": "import six.moves", "six.py": ""})

    read_imports(folder, ["functions.x.app.handler"])


@pytest.mark.parametrize("text", ["type later of", "\0"])
def test_code_that_this_python_cannot_read_is_told(text: str, tmp_path: Path):
    """What is packed may be for a newer Python than the one that packs."""
    folder = write(tmp_path, {**FUNCTION, "functions/x/app.py": "import package", "package.py": text})

    with pytest.raises(CannotPackage, match=r"^package cannot be read: .* put that one on the PATH"):
        read_imports(folder, ["functions.x.app.handler"])


def test_modules_that_are_compiled_for_another_python_are_refused(tmp_path: Path):
    """They would be missed as if they were not there."""
    write(tmp_path, {"a/_b.cpython-313-x86_64-linux-gnu.so": "", "a/_c.abi3.so": "", "a.libs/libz.so": ""})

    read_tags(tmp_path, "python3.13")
    with pytest.raises(
        CannotPackage, match=r"^a/_b\.cpython-313-\S+ is compiled for another Python than python3\.12\."
    ):
        read_tags(tmp_path, "python3.12")


# ffmpeg


def ffmpeg(folder: Path, text: str, mode: int = 0o755) -> Path:
    name = "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9"
    write(folder, {name: text})
    (folder / name).chmod(mode)
    return folder


def test_an_ffmpeg_that_says_its_version_is_good(tmp_path: Path):
    """The real one is tried where convert is packed."""
    try_ffmpeg(ffmpeg(tmp_path, "#!/bin/sh\necho ffmpeg version 9"))


def test_a_zip_without_ffmpeg_is_refused(tmp_path: Path):
    """The wheel for any system brings none."""
    with pytest.raises(CannotPackage, match="The zip holds 0 programs ffmpeg, and must hold one"):
        try_ffmpeg(write(tmp_path, {"imageio_ffmpeg/__init__.py": ""}))


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("#!/bin/sh\necho ffmpeg version 9", 0o644, "is not executable in the zip"),
        ("#!/nowhere/sh", 0o755, "does not start: .*No such file or directory"),
        (
            "#!/bin/sh\necho libmp3lame is missing >&2\nexit 127",
            0o755,
            "does not say its version: libmp3lame is missing",
        ),
        ("#!/bin/sh\necho hello", 0o755, "does not say its version: nothing"),
    ],
)
def test_an_ffmpeg_that_does_not_run_is_refused(text: str, mode: int, sentence: str, tmp_path: Path):
    """The first video would be the first to know."""
    with pytest.raises(CannotPackage, match=sentence):
        try_ffmpeg(ffmpeg(tmp_path, text, mode))


# Wheels


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pip looks for wheels, and nowhere else. Those it gets are kept in tmp_path/kept."""
    monkeypatch.setattr(wheels_module, "_WHEELS", tmp_path / "kept")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def wheel(folder: Path, name: str, tag: str = "py3-none-any") -> str:
    """Make one, and return its hash."""
    path, notes = folder / f"{name}-1.0-{tag}.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{name}.py", tag)
        made.writestr(f"{notes}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        made.writestr(f"{notes}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        made.writestr(f"{notes}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock(folder: Path, **hashes: list[str]) -> Path:
    """Write a lock file as uv does."""
    path = folder / "x.txt"
    lines = [
        " \\\n    ".join([f"{name.replace('_', '-')}==1.0", *(f"--hash=sha256:{each}" for each in given)])
        for name, given in hashes.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_pip_gets_each_wheel_once(index: Path, tmp_path: Path):
    """The second build takes seconds, and no network."""
    requirements = lock(tmp_path, one=[wheel(index, "one")], two_words=["0" * 64, wheel(index, "two_words")])

    first = wheels(requirements, "python3.13")
    for path in index.iterdir():
        path.unlink()

    assert [path.name for path in first] == ["one-1.0-py3-none-any.whl", "two_words-1.0-py3-none-any.whl"]
    assert wheels(requirements, "python3.13") == first


def test_the_wheel_is_for_lambda_and_its_runtime(index: Path, tmp_path: Path):
    """The Python that packs is another, on another system perhaps."""
    tags = [
        *(
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp313-cp313-manylinux_2_17_x86_64",
            "cp313-cp313-manylinux_2_28_x86_64",
        ),
        *("cp313-cp313-manylinux_2_39_x86_64", "cp313-cp313-macosx_11_0_arm64", "py3-none-any"),
    ]
    requirements = lock(tmp_path, one=[wheel(index, "one", tag) for tag in tags])

    assert [path.name for path in wheels(requirements, "python3.13")] == [
        "one-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    ]
    assert [path.name for path in wheels(requirements, "python3.12")] == [
        "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    ]
    assert [path.name for path in wheels(requirements, "python3.14")] == ["one-1.0-py3-none-any.whl"]


def test_a_kept_wheel_that_was_damaged_is_fetched_again(index: Path, tmp_path: Path):
    """A disk that ran full, or somebody who tried something."""
    requirements = lock(tmp_path, one=[wheel(index, "one")])
    (kept,) = wheels(requirements, "python3.13")
    good = kept.read_bytes()
    kept.write_bytes(b"something else")

    assert wheels(requirements, "python3.13") == [kept]
    assert kept.read_bytes() == good


def test_a_wheel_that_is_not_the_locked_one_is_refused(index: Path, tmp_path: Path):
    """Whoever changed it on its way here would run in the service."""
    wheel(index, "one")
    requirements = lock(tmp_path, one=["0" * 64])

    with pytest.raises(CannotPackage, match=r"^pip cannot get what requirements/functions/x\.txt asks for: "):
        wheels(requirements, "python3.13")
    assert list((tmp_path / "kept" / "python3.13").iterdir()) == []


def test_a_package_without_a_wheel_is_told(index: Path, tmp_path: Path):
    """Nothing is built here: it would be built for this machine."""
    requirements = lock(tmp_path, one=[wheel(index, "one", "cp312-cp312-manylinux_2_28_x86_64")])

    with pytest.raises(CannotPackage, match=r"No matching distribution found for one==1\.0.* no wheel for python3\.13"):
        wheels(requirements, "python3.13")
