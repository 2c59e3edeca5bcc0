"""The wheels of a function's packages for Lambda's platform. pip gets them, and they are kept in build/wheels."""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.package.failures import CannotPackage
from infra.template import TEMPLATE

_WHEELS = TEMPLATE.parent / "build" / "wheels"
_PIP_TIMEOUT_S = 900
# The newest glibc that a wheel may ask for. Lambda has 2.34 from python3.12 on. For python3.11 it has 2.26, and the
# bundled ffmpeg does not start there; that one is for emulators, which run functions with a Python of this machine.
_GLIBC_MINOR = 28


def wheels(requirements: Path, runtime: str) -> list[Path]:
    """Return a wheel for each locked package, checked against its hashes. `runtime` is as in "python3.13".

    Raises:
        CannotPackage: pip cannot get them all.
    """
    # By runtime: what is taken must not depend on what was packed before.
    folder = _WHEELS / runtime
    folder.mkdir(parents=True, exist_ok=True)
    # With each package go its version and the hashes of all its files, in lines that end in a backslash.
    lines = requirements.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    locked = {line.partition("==")[0]: line for line in lines}
    kept = _kept(folder, locked)
    if missing := [line for name, line in locked.items() if name not in kept]:
        _download(missing, runtime, folder, f"requirements/functions/{requirements.name}")
        kept = _kept(folder, locked)
    if len(kept) < len(locked):
        lacking = ", ".join(sorted(locked.keys() - kept.keys()))
        raise CannotPackage(f"There is no wheel of {lacking} in {folder}. Delete that folder and try again.")
    return [kept[name] for name in sorted(kept)]


def _kept(folder: Path, locked: Mapping[str, str]) -> dict[str, Path]:
    """Return the wheels in a folder that lines of a lock file mean, by package."""
    kept = {}
    for wheel in sorted(folder.glob("*.whl")):
        name = re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        if name in locked:
            with wheel.open("rb") as file:
                if f"--hash=sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" in locked[name]:
                    kept[name] = wheel
    return kept


def _download(lines: Sequence[str], runtime: str, folder: Path, lock_file: str) -> None:
    """Let pip get what lines of a lock file ask for. Raises CannotPackage."""
    # Each wheel comes into the folder whole or not at all, also when two of us are at it.
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        requirements = Path(unfinished, "missing.txt")
        requirements.write_text("\n".join(lines), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", f"--dest={unfinished}", f"--requirement={requirements}"),
            *("--only-binary=:all:", "--no-deps", "--require-hashes"),
            *("--implementation=cp", f"--python-version={runtime.removeprefix('python')}"),
            *(f"--platform={platform}" for platform in _platforms()),
            *("--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off"),
        ]
        try:
            downloaded = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PIP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotPackage(
                f"pip was not ready within {_PIP_TIMEOUT_S} seconds. Look at the network and try again."
            ) from error
        if downloaded.returncode != 0:
            raise CannotPackage(
                f"pip cannot get what {lock_file} asks for: {_reason(downloaded)} "
                f"Look at the network; if a package has no wheel for {runtime}, choose another version of it."
            )
        for wheel in Path(unfinished).glob("*.whl"):
            wheel.replace(folder / wheel.name)


def _platforms() -> list[str]:
    """Return the tags of the wheels that can be used, best first (https://peps.python.org/pep-0600/)."""
    return [*(f"manylinux_2_{minor}_x86_64" for minor in range(_GLIBC_MINOR, 4, -1)), "manylinux2014_x86_64"]


def _reason(finished: subprocess.CompletedProcess[str]) -> str:
    errors = [line.removeprefix("ERROR: ") for line in finished.stderr.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1] if errors else f"it ended with status {finished.returncode}"
    return reason if reason.endswith(".") else f"{reason}."
