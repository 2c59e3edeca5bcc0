"""One function deployed alone, as `make deploy FUNCTION=notify STAGE=local` does it."""

import secrets
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from infra.template import TEMPLATE
from tests import letters
from tests.emulator_stack import Emulator
from tests.letters import Letter
from tests.media import Media
from tests.reports import Report
from tests.tus import until
from video2mp3 import Client

pytestmark = pytest.mark.emulator

ROOT = TEMPLATE.parent
WITHIN_S = 10
# What a deployment of one function reads.
SOURCES = ("Makefile", "docs", "functions", "infra", "requirements", "stages", "web", "pyproject.toml", "template.yaml")
LETTERS = "functions/notify/letters.py"
OLD, NEW = "Your MP3 is ready", "Here is your MP3"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of this project in which the letters of notify have another subject."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    # The packages that were fetched once need not be fetched again.
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "wheels").symlink_to(ROOT / "build" / "wheels")
    text = (tmp_path / LETTERS).read_text()
    assert OLD in text
    (tmp_path / LETTERS).write_text(text.replace(OLD, NEW))
    return tmp_path


def code_hashes(emulator: Emulator) -> dict[str, str]:
    functions = emulator.client("lambda")
    found = functions.list_functions()["Functions"]
    functions.close()
    return {each["FunctionName"].rpartition("-")[2]: each["CodeSha256"] for each in found}


def make_deploy(folder: Path, emulator: Emulator) -> tuple[float, str]:
    """Return how long it took, in seconds, and what it printed."""
    # What `make test` itself was given is not meant for this one.
    of_make = ("MAKE", "MFLAGS", "ARGS")
    environ = {name: value for name, value in emulator.environ.items() if not name.startswith(of_make)}
    started = time.monotonic()
    deployed = subprocess.run(
        ["make", "--no-print-directory", "deploy", "FUNCTION=notify", "STAGE=local"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert deployed.returncode == 0, deployed.stderr
    return time.monotonic() - started, deployed.stdout


def test_one_function_is_deployed_alone(emulator: Emulator, changed: Path, media: Media, report: Report) -> None:
    """In seconds; the others keep the code that they had, and the new code runs. It goes back the same way."""
    before = code_hashes(emulator)

    there_s, said = make_deploy(changed, emulator)

    after = code_hashes(emulator)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["NotifyFunction"]
    assert NEW in letter_after_a_conversion(emulator, media).subject

    shutil.copy2(ROOT / LETTERS, changed / LETTERS)
    back_s, _ = make_deploy(changed, emulator)

    assert code_hashes(emulator) == before
    report.add(
        f"make deploy FUNCTION=notify STAGE=local: {there_s:.1f} s, and back: {back_s:.1f} s", *said.splitlines()
    )
    # Other work on this machine may disturb one of them.
    assert min(there_s, back_s) < WITHIN_S


def letter_after_a_conversion(emulator: Emulator, media: Media) -> Letter:
    address = f"{secrets.token_hex(6)}@example.com"
    with Client(emulator.url) as person:
        person.register(address, "correct horse battery")
        person.login(address, "correct horse battery")
        person.upload(media.video("avi"))
        (letter,) = until(lambda: letters.in_ministack(emulator.endpoint_url, address), within_s=90)
    return letter
