"""Try what was packed, in an interpreter that knows nothing else."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.package.failures import CannotPackage

_TIMEOUT_S = 120
# Whether this is the Python that wheels for Lambda are made for, and where it really is: on the PATH may be a wrapper.
_PROBE = """
import platform, sys, sysconfig
print(sys.executable, "python%d.%d" % sys.version_info[:2], sysconfig.get_platform(), platform.libc_ver()[0], sep="\\n")
"""
_TRIAL = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for handler in sys.argv[2:]:
    module, _, attribute = handler.rpartition(".")
    getattr(importlib.import_module(module), attribute)
"""


def find_interpreter(runtime: str) -> Path | None:
    """Return a Python of this machine that runs what is packed for a runtime such as python3.13, if there is one."""
    for candidate in (sys.executable, shutil.which(runtime)):
        if candidate is not None:
            try:
                probed = _run([candidate, "-I", "-S", "-c", _PROBE])
            except (OSError, subprocess.TimeoutExpired):
                continue
            path, *kind = probed.stdout.splitlines() or [""]
            if kind == [runtime, "linux-x86_64", "glibc"]:
                return Path(path)
    return None


def try_handlers(interpreter: Path, folder: Path, handlers: Sequence[str]) -> None:
    """Import handlers from an unpacked zip, and from nowhere else. Raises CannotPackage."""
    try:
        # Without site-packages, environment variables and the working directory.
        tried = _run([str(interpreter), "-I", "-S", "-B", "-c", _TRIAL, str(folder), *handlers], environ={}, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise CannotPackage(
            f"Importing {' and '.join(handlers)} took over {_TIMEOUT_S} seconds. Move what takes long into connect()."
        ) from error
    if tried.returncode != 0:
        reason = (tried.stderr.strip() or f"status {tried.returncode}").splitlines()[-1]
        package = handlers[0].split(".")[1]
        raise CannotPackage(
            f"{' and '.join(handlers)} cannot be imported from the zip: {reason}. If a package is missing, name it in "
            f"the dependency group {package} of pyproject.toml and run `make lock`."
        )


def try_ffmpeg(folder: Path) -> None:
    """Start the ffmpeg of an unpacked zip. Raises CannotPackage."""
    found = sorted((folder / "imageio_ffmpeg" / "binaries").glob("ffmpeg-linux-x86_64-*"))
    if len(found) != 1:
        raise CannotPackage(
            f"The zip holds {len(found)} programs ffmpeg, and must hold one. Choose a version of imageio-ffmpeg whose "
            "wheel for Linux brings one, and run `make lock`."
        )
    name = found[0].relative_to(folder)
    if not found[0].stat().st_mode & 0o100:
        raise CannotPackage(f"{name} is not executable in the zip. Look at its mode in the wheel of imageio-ffmpeg.")
    if sys.platform != "linux":
        return
    try:
        tried = _run([str(found[0]), "-version"], environ={}, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotPackage(
            f"{name} does not start: {error} Pack on Linux, x86_64, with glibc 2.28 or newer."
        ) from error
    if tried.returncode != 0 or not tried.stdout.startswith("ffmpeg version"):
        raise CannotPackage(
            f"{name} does not say its version: {(tried.stderr.strip() or 'nothing').splitlines()[-1]} "
            "Choose another version of imageio-ffmpeg, and run `make lock`."
        )


def _run(
    command: Sequence[str], *, environ: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
