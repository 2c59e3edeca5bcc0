"""The commands of the README, word for word."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mutagen.mp3 import MP3

from infra.local.stack import RunningStack
from tests.media import Media, decoded_seconds

README = Path(__file__).parents[2] / "README.md"
UNIT_TEST = Path(__file__).parents[1] / "unit" / "test_upload.py"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def commands_of(stack: RunningStack) -> list[str]:
    """Return the blocks of commands that use curl: from registering to saving, for large videos, for several MP3s."""
    return [block.replace("http://127.0.0.1:8080", stack.url) for block in blocks("sh") if "curl" in block]


def run_in(folder: Path, *commands: str) -> str:
    script = "\n".join(["set -eu", *commands])
    done = subprocess.run(["bash", "-c", script], check=False, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_curl_commands_register_upload_follow_and_save(stack: RunningStack, media: Media, tmp_path: Path) -> None:
    """They are what a newcomer types first. Only the port is another one here."""
    shutil.copy(media.video("tagged"), tmp_path / "movie.mp4")

    said = run_in(tmp_path, commands_of(stack)[0])

    assert said.splitlines()[-1] == "completed 1.0"
    assert decoded_seconds(tmp_path / "movie.mp3") == pytest.approx(3, abs=0.2)
    assert str(MP3(tmp_path / "movie.mp3")["TIT2"]) == "A walk; in = the park"


def test_the_curl_commands_for_large_videos_upload_one(stack: RunningStack, media: Media, tmp_path: Path) -> None:
    """They go on where an upload broke off, so they must get the offsets right."""
    shutil.copy(media.video("tagged"), tmp_path / "movie.mp4")
    first, second, _ = (block.replace("ann@", "eve@") for block in commands_of(stack))
    show = 'curl -sS $URL/v1/conversions/$ID -H "Authorization: Bearer $TOKEN"'

    conversion = json.loads(run_in(tmp_path, first, second, show).splitlines()[-1])

    assert conversion["filename"] == "movie.mp4"
    assert conversion["video"]["bytes"] == (tmp_path / "movie.mp4").stat().st_size


def test_the_curl_commands_for_several_mp3s_save_a_zip_and_watch(
    stack: RunningStack, media: Media, tmp_path: Path
) -> None:
    """The last line says that nothing has changed."""
    shutil.copy(media.video("tagged"), tmp_path / "movie.mp4")
    first, _, third = (block.replace("ann@", "zoe@") for block in commands_of(stack))

    said = run_in(tmp_path, first, third).splitlines()

    assert zipfile.ZipFile(tmp_path / "mp3s.zip").namelist() == ["movie.mp3"]
    assert "/v1/downloads/zip/" in json.loads(said[-2])["url"]
    assert said[-1] == "304"


def test_the_python_example_saves_an_mp3(stack: RunningStack, media: Media, tmp_path: Path) -> None:
    """The client library is shown in six lines; these must work."""
    shutil.copy(media.video("mkv"), tmp_path / "movie.mp4")
    (example,) = [block for block in blocks("python") if "Client(" in block]
    register = 'client.register("bob@example.com", "a long sentence"); client.login('
    program = example.replace("http://127.0.0.1:8080", stack.url).replace("ann@", "bob@")
    program = program.replace("client.login(", register)
    environ = {**os.environ, "PYTHONPATH": str(README.parent)}

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert decoded_seconds(tmp_path / "movie.mp3") == pytest.approx(3, abs=0.2)


def test_the_quoted_test_is_the_one_that_runs() -> None:
    """A quotation that has drifted from the code teaches what does not work."""
    (quoted,) = [block for block in blocks("python") if "def test_" in block]

    assert quoted in UNIT_TEST.read_text()
