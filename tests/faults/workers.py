"""Triggers in processes of their own, without a supervisor: to be hurt, slowed or starved by a test, at any point."""

import contextlib
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import psutil
from pymongo.database import Database

import functions.convert.app as convert_app
import functions.convert.ffmpeg as convert_ffmpeg
import functions.notify.app  # noqa: F401  # so that it is there before a worker is forked
import infra.triggers.__main__ as triggers
from functions.convert.convert import Deps
from functions.convert.encoder import FfmpegEncoder
from functions.shared.clock import utc_now
from functions.shared.conversions import Video
from functions.shared.events import Event
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.once import once
from functions.shared.rabbit_events import RabbitEvents
from functions.sweep.sweep import RELAY_AFTER
from infra.local.servers import ServerUrls
from infra.rabbitmq.topology import ARGUMENTS
from tests.conversions import conversion, event
from tests.faults.checker import Checker
from tests.faults.sweeping import Sweeper
from tests.tus import until

# How long the worker of a test may be dead or stalled before another takes over.
LEASE_S = 3
# Of an MP3, in bytes: some seconds of sound.
_A_PART = 20_000

# What a worker needs is imported once, by a process that they are all forked from.
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class Point(Enum):
    """A moment in a conversion: a dependency of convert, its method, and whether that has been done by then."""

    BEFORE_STORING = ("mp3s", "put", False)
    BEFORE_COMMIT = ("claims", "complete", False)
    AFTER_COMMIT = ("claims", "complete", True)
    AFTER_PUBLISHING = ("events", "publish", True)
    AFTER_NOTING = ("outbox", "mark_published", True)

    @property
    def is_committed(self) -> bool:
        """Whether the conversion has been completed by then."""
        return self not in (Point.BEFORE_STORING, Point.BEFORE_COMMIT)

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Plan:
    """What befalls a worker: at `point` it sends itself `number`. Its ffmpegs have this much memory and patience."""

    point: Point | None = None
    number: signal.Signals = signal.SIGKILL
    memory_bytes: int | None = None
    stall_s: float | None = None

    def deps(self) -> Deps:
        """Return convert's own dependencies, changed as planned."""
        deps = convert_app.connect()
        if self.memory_bytes:
            convert_ffmpeg._MEMORY_BYTES = self.memory_bytes
        if self.stall_s:
            deps = replace(deps, encoder=FfmpegEncoder(max_duration_s=3600, stall_s=self.stall_s))
        if self.point:
            name, method, done = self.point.value
            changes: dict[str, Any] = {name: _Signalling(getattr(deps, name), method, done, self.number)}
            deps = replace(deps, **changes)
        return deps


class _Signalling:
    """An adapter that sends this process a signal before or after one of its methods has done its work."""

    def __init__(self, adapter: object, method: str, done: bool, number: signal.Signals) -> None:
        self._adapter = adapter
        self._method = method
        self._done = done
        self._number = number

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        return partial(self._call, method) if name == self._method else method

    def _call(self, method: Callable[..., Any], *arguments: object) -> Any:
        # The parts of an MP3 renew the claim while they are read. This is the moment after the last time.
        arguments = tuple(list(each) if isinstance(each, Iterator) else each for each in arguments)
        result = method(*arguments) if self._done else None
        # To this thread: if another got the signal, this one would go on for a moment.
        signal.pthread_kill(threading.get_ident(), self._number)
        return result if self._done else method(*arguments)


class Worker:
    """Triggers in a process, which ends with the test."""

    def __init__(self, process: ForkServerProcess, log: Path) -> None:
        assert process.pid
        self.process = process
        self.pid = process.pid
        self._log = log

    def said(self, text: str) -> int:
        """Return how many lines of its log say this."""
        return sum(text in line for line in self._log.read_text().splitlines()) if self._log.exists() else 0

    def wait_until_dead(self) -> int:
        """Return the number of the signal that killed it."""
        self.process.join(60)
        assert self.process.exitcode, "it lives"
        return -self.process.exitcode

    def wait_until_stopped(self) -> None:
        until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, within_s=60)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


class Workers:
    """Workers on a database and queues of their own, what they are given to do, and what is to be seen of it."""

    def __init__(self, database: Database[Document], urls: ServerUrls, folder: Path) -> None:
        self.database = database
        self.outbox = folder / "outbox"
        self.checker = Checker(database, self.outbox)
        self.events = RabbitEvents(urls.amqp)
        self._folder = folder
        self._urls = urls._replace(mongodb=urlsplit(urls.mongodb)._replace(path=f"/{database.name}").geturl())
        self.sweeper = Sweeper(self._urls)
        self._workers: list[Worker] = []

    def start(self, *packages: str, plan: Plan | None = None) -> Worker:
        """Start triggers for these functions, by default for convert and notify, which work as planned."""
        environ = {
            **self._urls.to_environ(),
            "LEASE_S": str(LEASE_S),
            "RETRY_PAUSE_S": "1",
            "CONVERT_WORKERS": "1",
            "LINK_KEYS": "k" * 32,
            "OUTBOX_DIR": str(self.outbox),
            "LOG_FORMAT": "json",
        }
        log = self._folder / f"worker-{len(self._workers)}.log"
        arguments = (packages or ("convert", "notify"), plan or Plan(), environ, log)
        process = _FORKS.Process(target=_work, args=arguments, daemon=True)
        process.start()
        worker = Worker(process, log)
        self._workers.append(worker)
        return worker

    def end(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
        self.events.close()

    def add(self, video: Path) -> str:
        """Store a video with its conversion as upload does, and publish that. Returns the conversion's id."""
        conversion_id, uploaded = self.store(video)
        self.events.publish(uploaded)
        return conversion_id

    def store(self, video: Path) -> tuple[str, Event]:
        """Store a video with its conversion, and return its id and the event that should be published now."""
        conversion_id = uuid.uuid4().hex
        stored = GridFSFiles(self.database, "videos").put(conversion_id, [video.read_bytes()])
        new = conversion(conversion_id, video=Video(bytes=stored.bytes, sha256=stored.sha256))
        MongoConversions(self.database).add(new, [])
        return conversion_id, event(conversion_id=conversion_id)

    def document(self, conversion_id: str) -> Document:
        found = self.database.conversions.find_one({"_id": conversion_id})
        assert found
        return found

    def mp3s(self, conversion_id: str) -> list[str]:
        """Return the ids of all MP3s of a conversion, whole or not."""
        return GridFSFiles(self.database, "mp3s").ids(conversion_id)

    def letters(self) -> int:
        """Return how many letters lie in the outbox."""
        return len(list(self.outbox.glob("*.eml")))

    def messages(self) -> dict[str, int]:
        """Return how many messages wait in each queue that is not empty. Those of a worker are not among them."""
        return messages(self._urls.amqp)

    def said(self, text: str) -> int:
        """Return how many lines of all logs say this."""
        return sum(worker.said(text) for worker in self._workers)

    def sweep_when_it_can_help(self) -> None:
        """Do what happens once a minute, as soon as all leases have ended and all that is owed has been for a while."""
        wait_for_leases(self.database)

        def is_old() -> bool:
            new = {"$elemMatch": {"occurred_at": {"$gt": utc_now() - RELAY_AFTER}}}
            return self.database.conversions.find_one({"pending_events": new}) is None

        until(is_old)
        self.sweeper.sweep()


def messages(amqp_url: str) -> dict[str, int]:
    """Return how many messages wait in each queue that is not empty."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        counts = {name: channel.queue_declare(name, passive=True).method.message_count for name in ARGUMENTS}
    return {name: count for name, count in counts.items() if count}


def wait_for_leases(database: Database[Document]) -> None:
    """Wait until every lease has ended, by MongoDB's clock."""
    held = {"$expr": {"$gt": ["$lease.expires_at", "$$NOW"]}}
    until(lambda: not database.conversions.find_one(held))


def stopped_in_mid_encode(pid: int) -> psutil.Process:
    """Return the ffmpeg that makes an MP3 under a process. It has written some seconds of it, and stands still."""

    def look() -> psutil.Process | None:
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                command = child.cmdline()
                # Another ffmpeg looks first what is in the video.
                if "ffmpeg" in child.name() and "libmp3lame" in command:
                    child.suspend()
                    if mp3_bytes(child) > _A_PART:
                        return child
                    child.resume()
        return None

    return until(look, within_s=60)


def mp3_bytes(ffmpeg: psutil.Process) -> int:
    """Return how many bytes of the MP3 an ffmpeg has written."""
    outputs = next(argument for argument in ffmpeg.cmdline() if "]fd:" in argument)
    descriptor = outputs.partition(":fd=")[2].partition("]")[0]
    return Path(f"/proc/{ffmpeg.pid}/fd/{descriptor}").stat().st_size


def seconds_until_gone(process: psutil.Process, *, within_s: float = 30) -> float:
    """Wait until a process has ended, and return how long that took."""
    started = time.monotonic()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, within_s=within_s)
    return time.monotonic() - started


def _work(packages: tuple[str, ...], plan: Plan, environ: Mapping[str, str], log: Path) -> None:
    os.environ.update(environ)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    convert_app.handler = convert_app.create_handler(once(plan.deps))
    sys.exit(triggers.main(arguments=packages))
