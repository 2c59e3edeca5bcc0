"""How much memory the gateway takes while it takes in large videos: python -m benchmarks.memory [GiB].

The functions run in the gateway's process, so this is their memory, too.
"""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.upload import BYTES, TUS, Uploader
from functions.shared.files import GridFSFiles
from functions.shared.mongo import connect_mongo
from infra.local.stack import RunningStack, running_stack

_MIB = 1024 * 1024
_LIMIT_MB = 100.0


class Run(NamedTuple):
    """One upload: how it went, its memory in MB before it and at each second, and whether every byte was stored."""

    way: str
    seconds: float
    before_mb: float
    samples_mb: list[float]
    is_right: bool

    @property
    def growth_mb(self) -> float:
        """How much larger than before the memory ever was."""
        return max(self.samples_mb) - self.before_mb


def main(gibibytes: float = 3.0) -> int:
    """Return the exit status: 1 if a byte is wrong or the memory grew by more than it may."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "state") as stack:
        video = Path(folder) / "video.mp4"
        console.print(f"Making a file of {gibibytes:g} GiB")
        sha256 = _make_video(video, int(gibibytes * 1024**3))
        runs = []
        for way, send in (("one PATCH", send_by_tus), ("one form", send_by_curl)):
            console.print(f"Uploading it by {way}")
            runs.append(_run(stack, way, functools.partial(send, stack.url, video=video), sha256))
    _show(console, runs, gibibytes)
    return 0 if all(run.is_right and run.growth_mb < _LIMIT_MB for run in runs) else 1


def send_by_tus(_url: str, uploader: Uploader, video: Path) -> str:
    """Send a video as one PATCH, and return the id of its conversion."""
    size = video.stat().st_size
    path = uploader.create(size, part=False)
    with video.open("rb") as body:
        uploader.request("PATCH", path, {**BYTES, "Upload-Offset": "0", "Content-Length": str(size)}, body)
    return path.rpartition("/")[2]


def send_by_curl(url: str, uploader: Uploader, video: Path) -> str:
    """Send a video as curl sends a form, and return the id of its conversion."""
    command = ["curl", "--silent", "--show-error", "--fail", "--form", f"video=@{video}"]
    for name, value in uploader.headers.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--output", os.devnull, "--write-out", "%header{location}", f"{url}/v1/conversions"]
    sent = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    return sent.stdout.rpartition("/")[2]


class Sampler:
    """Looks at the memory of a process every second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.before_mb = self._look()
        self.samples_mb: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.samples_mb.append(self._look())

    def _sample(self) -> None:
        while not self._stop.wait(1):
            self.samples_mb.append(self._look())

    def _look(self) -> float:
        return float(self._process.memory_info().rss) / 1e6


def _run(stack: RunningStack, way: str, send: Callable[[Uploader], str], sha256: str) -> Run:
    with Uploader(stack.url) as uploader, Sampler(stack.pids["gateway"]) as sampler:
        started = time.perf_counter()
        conversion_id = send(uploader)
        seconds = time.perf_counter() - started
    is_right = _stored_sha256(stack, conversion_id) == sha256
    with Uploader(stack.url, like=uploader) as uploader:
        uploader.request("DELETE", f"/v1/conversions/{conversion_id}", TUS)
    return Run(way, seconds, sampler.before_mb, sampler.samples_mb, is_right)


def _stored_sha256(stack: RunningStack, conversion_id: str) -> str:
    database = connect_mongo(stack.urls.mongodb)
    digest = hashlib.sha256()
    for part in GridFSFiles(database, "videos").read(conversion_id):
        digest.update(part)
    database.client.close()
    return digest.hexdigest()


def _make_video(path: Path, size: int) -> str:
    """Write what begins as an MP4 and goes on as noise, and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        part = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
        while size:
            digest.update(part)
            size -= file.write(part)
            part = os.urandom(min(size, _MIB))
    return digest.hexdigest()


def _show(console: Console, runs: list[Run], gibibytes: float) -> None:
    table = Table("second", *[f"{run.way}, MB" for run in runs], title=f"Memory of the gateway, {gibibytes:g} GiB each")
    table.add_row("before", *[f"{run.before_mb:.0f}" for run in runs])
    for second in range(max(len(run.samples_mb) for run in runs)):
        row = [f"{run.samples_mb[second]:.0f}" if second < len(run.samples_mb) else "" for run in runs]
        table.add_row(str(second + 1), *row)
    console.print(table)
    for run in runs:
        speed = gibibytes * 1024**3 / run.seconds / 1e6
        right = "right to the last byte" if run.is_right else "WRONG"
        console.print(f"{run.way}: {run.seconds:.1f} s, {speed:.0f} MB/s, grew by {run.growth_mb:.0f} MB, {right}")


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
