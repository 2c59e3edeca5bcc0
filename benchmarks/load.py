"""What a thousand small clips at once do to the service: python -m benchmarks.load [CLIPS].

They are uploaded as fast as 32 clients can. Meanwhile somebody else lists conversions, and asks for the newest.
"""

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import imageio_ffmpeg
import msgspec
import psutil
from pymongo.database import Database
from rich.console import Console
from rich.table import Table

from benchmarks.crowd import Sent, Uploads, send_all
from benchmarks.upload import log_in
from functions.shared.mongo import Document, connect_mongo
from infra.local.stack import RunningStack, running_stack
from tests.faults.checker import ENDS, Checker, Verdict

Row = tuple[str, str, str, str, str]

CLIENTS = 32

_SECONDS = "1.5"
# Clips that each client sends before: they start all threads and open all connections.
_WARM_UP = 2
_ASKED_ALONE = 20
_ASK_EVERY_S = 0.3
_LOOK_EVERY_S = 0.5
_END_WITHIN_S = 1800
_LIST, _STATUS = "list", "status"

# What must hold. The memory is flat if it is never so much more than at the beginning, and does not grow by so much.
_MEDIAN_MS = 100
_MORE_MB = 64
_GROWTH_MB = 16


class Load(NamedTuple):
    """What was seen: times of answers by what was asked, and the gateway's memory before and again and again."""

    clients: int
    sent: list[Sent]
    verdict: Verdict
    converted_s: float
    plain_s: float
    alone_ms: dict[str, list[float]]
    uploading_ms: dict[str, list[float]]
    converting_ms: dict[str, list[float]]
    before_mb: float
    memory_mb: list[float]

    @property
    def uploaded_s(self) -> float:
        """The seconds from the first upload to the last answer."""
        return max(each.answered_at for each in self.sent) - min(each.begun_at for each in self.sent)

    @property
    def growth_mb(self) -> float:
        """By how much the median of the last third of the run is above that of the first."""
        third = max(1, len(self.memory_mb) // 3)
        return statistics.median(self.memory_mb[-third:]) - statistics.median(self.memory_mb[:third])

    @property
    def holds(self) -> bool:
        """Whether all is within its bound."""
        answers = (*self.uploading_ms.values(), *self.converting_ms.values())
        return (
            self.verdict.is_clean
            and self.verdict.ends == {"completed": len(self.sent)}
            and all(statistics.median(each) < _MEDIAN_MS for each in answers)
            and max(self.memory_mb) - self.before_mb < _MORE_MB
            and self.growth_mb < _GROWTH_MB
        )


def main(clips: int) -> int:
    """Return the exit status: 1 if something does not hold."""
    console = Console()
    table = Table("what", "ours", "beside it", "ratio", "bound", title="Load")
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "state") as stack:
        load = put_load(stack, make_clip(Path(folder) / "clip.mp4"), clips, CLIENTS, console)
    for row in rows(load):
        table.add_row(*row)
    console.print(table)
    return 0 if load.holds else 1


def run(stack: RunningStack, folder: Path, console: Console) -> Iterator[Row]:
    """Yield the rows of the table."""
    clip = make_clip(folder / "clip.mp4")
    yield from rows(put_load(stack, clip, int(os.environ.get("LOAD_CLIPS", "1000")), CLIENTS, console))


def put_load(stack: RunningStack, clip: Path, clips: int, clients: int, console: Console) -> Load:
    """Upload a clip so many times, each under its own name, and wait until all have come to an end."""
    plain_s = _plain_ffmpeg_s(clip, min(clips, 40))
    headers = log_in(stack.url)
    database = connect_mongo(stack.urls.mongodb)

    def send(name: str, count: int) -> list[Sent]:
        names = [f"{name} {number}.mp4" for number in range(count)]
        return send_all(Uploads(stack.url, headers, str(clip), names, clients))

    with Asker(stack.url, headers) as asker:
        _wait_for_ends(database, [each.conversion_id for each in send("warm-up", _WARM_UP * clients)])
        for _ in range(_ASKED_ALONE):
            asker.ask()
        alone_ms = asker.take()
        console.print(f"Uploading {clips} clips of {clip.stat().st_size / 1000:.0f} kB by {clients} clients")
        with Watch(stack.pids["gateway"], asker) as watch:
            sent = send("clip", clips)
            uploading_ms = asker.take()
            ids = [each.conversion_id for each in sent]
            _wait_for_ends(database, ids)
        converting_ms = asker.take()
    verdict = Checker(database, stack.outbox).wait(ids, within_s=120)
    last = max(database.conversions.distinct("completed_at", {"_id": {"$in": ids}, "state": "completed"}))
    database.client.close()
    converted_s = last.timestamp() - min(each.begun_at for each in sent)
    load = Load(
        clients=clients,
        sent=sent,
        verdict=verdict,
        converted_s=converted_s,
        plain_s=plain_s,
        alone_ms=alone_ms,
        uploading_ms=uploading_ms,
        converting_ms=converting_ms,
        before_mb=watch.before_mb,
        memory_mb=watch.memory_mb,
    )
    console.print(f"  uploaded in {load.uploaded_s:.1f} s, converted in {converted_s:.1f} s, {verdict}")
    return load


def rows(load: Load) -> Iterator[Row]:
    """Yield the rows of the table."""
    count, seconds = len(load.sent), statistics.median(each.answered_at - each.begun_at for each in load.sent)
    yield (
        f"{count} clips uploaded by {load.clients} clients",
        f"{count / load.uploaded_s:.0f} /s",
        f"median of one: {seconds * 1000:.0f} ms",
        "",
        "",
    )
    ends = ", ".join(f"{number} {end}" for end, number in load.verdict.ends.items())
    yield ("what became of them", ends, str(load.verdict), "", "all completed, none twice")
    rate = count / load.converted_s
    yield (
        f"their conversion, the last after {load.converted_s:.0f} s",
        f"{rate:.1f} /s",
        f"ffmpeg -vn -q:a 2, two at once: {1 / load.plain_s:.1f} /s",
        f"{rate * load.plain_s:.2f}",
        "",
    )
    for what in (_LIST, _STATUS):
        for when, answers in (("uploading", load.uploading_ms), ("converting", load.converting_ms)):
            if answers[what]:
                yield _answers_row(f"{what}, while {when}", answers[what], load.alone_ms[what])
    highest = max(load.memory_mb)
    yield (
        "memory of the gateway, highest",
        f"{highest:.0f} MB",
        f"before: {load.before_mb:.0f} MB",
        f"{highest / load.before_mb:.2f}",
        f"under {_MORE_MB} MB more",
    )
    yield ("the same, first to last third", f"{load.growth_mb:+.0f} MB", "", "", f"under {_GROWTH_MB} MB")


def _answers_row(what: str, answers_ms: list[float], alone_ms: list[float]) -> Row:
    median, alone = statistics.median(answers_ms), statistics.median(alone_ms)
    p95 = sorted(answers_ms)[int(0.95 * len(answers_ms))]
    return (
        what,
        f"{median:.0f} ms, 95 % in {p95:.0f} ms",
        f"alone: {alone:.0f} ms",
        f"{median / alone:.1f}",
        f"under {_MEDIAN_MS} ms",
    )


class Asker:
    """Somebody who asks for the list of conversions and for one of them, and notes how long the answers take."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        self._headers = headers
        self._answers_ms: dict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self) -> None:
        """Ask for both."""
        newest = msgspec.json.decode(self._get(_LIST, "/v1/conversions"))["items"][0]
        self._get(_STATUS, f"/v1/conversions/{newest['id']}")

    def take(self) -> dict[str, list[float]]:
        """Return the answers since the last time."""
        taken, self._answers_ms = self._answers_ms, defaultdict(list)
        return taken

    def _get(self, what: str, path: str) -> bytes:
        started = time.perf_counter()
        self._http.request("GET", path, headers=self._headers)
        answer = self._http.getresponse()
        said = answer.read()
        assert answer.status == 200, (answer.status, said)
        self._answers_ms[what].append((time.perf_counter() - started) * 1000)
        return said


class Watch:
    """Looks at the memory of a process, and has `asker` ask, again and again until the end of the `with`."""

    def __init__(self, pid: int, asker: Asker) -> None:
        self._process = psutil.Process(pid)
        self._asker = asker
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(2)
        self.before_mb = self._look()
        self.memory_mb: list[float] = []

    def __enter__(self) -> Self:
        self._work = [self._pool.submit(self._look_again), self._pool.submit(self._ask_again)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._work:
            each.result()
        self._pool.shutdown()

    def _look_again(self) -> None:
        self.memory_mb.append(self._look())
        while not self._stop.wait(_LOOK_EVERY_S):
            self.memory_mb.append(self._look())

    def _ask_again(self) -> None:
        self._asker.ask()
        while not self._stop.wait(_ASK_EVERY_S):
            self._asker.ask()

    def _look(self) -> float:
        return float(self._process.memory_info().rss) / 1e6


def make_clip(path: Path) -> Path:
    """Write a small MP4 with sound."""
    _ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=176x144:rate=10", "-f", "lavfi", "-i", "sine=frequency=440"),
        *("-t", _SECONDS, "-c:v", "mpeg4", "-c:a", "aac", str(path)),
    )
    return path


def _plain_ffmpeg_s(clip: Path, count: int) -> float:
    """Return how many seconds plain ffmpeg takes for a clip, if it always runs twice at once."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        targets = [Path(folder) / f"{number}.mp3" for number in range(count)]
        list(pool.map(lambda mp3: _ffmpeg("-i", str(clip), "-vn", "-q:a", "2", str(mp3)), targets))
    return (time.perf_counter() - started) / count


def _wait_for_ends(database: Database[Document], ids: Collection[str]) -> None:
    """Wait until these conversions have ended, and look so seldom that it costs nothing."""
    ended = {"_id": {"$in": list(ids)}, "state": {"$in": list(ENDS)}}
    deadline = time.monotonic() + _END_WITHIN_S
    while (count := database.conversions.count_documents(ended)) < len(ids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} of {len(ids)} conversions have ended.")
        time.sleep(1)


def _ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "fatal", "-nostdin", "-y", *arguments]
    subprocess.run(command, check=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
