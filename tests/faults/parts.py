"""The gateway, the triggers and sweep in processes of their own: to die at a point, or to go by a clock that jumps."""

import email
import email.policy
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from email.message import EmailMessage
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pymongo.database import Database

import functions.auth.app
import functions.auth.authorizer
import functions.convert.app as convert_app
import functions.download.app
import functions.health.app
import functions.notify.app  # noqa: F401  # as those above, so that it is there before a process is forked
import functions.shared.clock as shared_clock
import functions.sweep.app as sweep_app
import functions.upload.app as upload_app
import infra.gateway.__main__ as gateway
import infra.triggers.__main__ as triggers
from functions.shared.mongo import Document
from functions.shared.once import once
from infra.invoke import InProcessFunctions
from infra.local.processes import free_port
from infra.local.servers import ServerUrls
from infra.template import load_template
from tests.faults import workers
from tests.faults.checker import Checker
from tests.tus import Tus, new_person, until

# What the parts need is imported once, by a process that they are all forked from.
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([workers.__name__, __name__])
_CLOCK = "CLOCK_OF_TEST"


@dataclass(frozen=True)
class Death:
    """A point at which a process kills itself: a dependency, its method, and whether that has done its work by then.

    In the gateway the dependency is one of upload, in the triggers one of convert.
    """

    port: str
    method: str
    done: bool = False

    def befalls(self, deps: Any) -> Any:
        """Return the dependencies, of which one is deadly now."""
        adapter = getattr(deps, self.port)
        method = getattr(adapter, self.method)

        def deadly(*arguments: object) -> None:
            if self.done:
                method(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(adapter, self.method, deadly)
        return deps


class JumpingClock:
    """A clock for parts, which is right until it jumps. How far it has jumped is in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def environ(self) -> dict[str, str]:
        """What a part is given to go by this clock."""
        return {_CLOCK: str(self._file)}

    def jump(self, ahead: timedelta) -> None:
        """Be so far ahead of the right time from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(str(ahead.total_seconds()))
        new.replace(self._file)

    def now(self, zone: tzinfo) -> datetime:
        """Return what it says."""
        ahead_s = float(self._file.read_text()) if self._file.exists() else 0
        return datetime.now(zone) + timedelta(seconds=ahead_s)


@dataclass(frozen=True)
class Part:
    """A part that runs."""

    process: ForkServerProcess
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid
        return self.process.pid

    def said(self, text: str) -> int:
        """Return how many lines of its log say this."""
        return sum(text in line for line in self.log.read_text().splitlines()) if self.log.exists() else 0

    def wait_until_killed(self) -> None:
        """Wait until it is dead, by SIGKILL."""
        self.process.join(60)
        assert self.process.exitcode == -signal.SIGKILL, self.log.read_text()

    def end(self) -> None:
        """End it, if it still runs. Its ffmpegs end with it."""
        self.process.kill()
        self.process.join()


class Parts:
    """Parts of one service, on a database and queues that no other test uses."""

    def __init__(self, database: Database[Document], urls: ServerUrls, folder: Path) -> None:
        self.database = database
        self.outbox = folder / "outbox"
        self.checker = Checker(database, self.outbox)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._urls = urls._replace(mongodb=urlsplit(urls.mongodb)._replace(path=f"/{database.name}").geturl())
        self._parts: list[Part] = []
        self._people: list[Tus] = []

    def gateway(
        self, death: Death | None = None, *, environ: Mapping[str, str] | None = None, url: str | None = None
    ) -> Part:
        """Start a gateway with all functions in it, and return when it serves, at `url` if it is given."""
        address = urlsplit(url or self.url)
        part = self._start(_serve, death, {"PORT": str(address.port), **(environ or {})})
        until(lambda: part.process.exitcode is not None or _serves(address.geturl()), within_s=60)
        assert part.process.exitcode is None, part.log.read_text()
        return part

    def triggers(self, *packages: str, death: Death | None = None, environ: Mapping[str, str] | None = None) -> Part:
        """Start triggers for these functions."""
        return self._start(_consume, death, environ or {}, *packages)

    def sweep(self, death: Death | None = None, environ: Mapping[str, str] | None = None) -> None:
        """Call sweep once, and return when it is done, or dead."""
        part = self._start(_sweep, death, environ or {})
        if death:
            part.wait_until_killed()
        else:
            part.process.join(60)
            assert part.process.exitcode == 0, part.log.read_text()

    def new_person(self) -> Tus:
        """Register somebody at the gateway, and log in."""
        person = new_person(self.url)
        self._people.append(person)
        return person

    def end(self) -> None:
        """End all."""
        for person in self._people:
            person.person.close()
        for part in self._parts:
            part.end()

    def files(self, bucket: str) -> list[str]:
        """Return the ids of all stored files, and of files of which only parts are stored."""
        whole = self.database[bucket].files.distinct("_id")
        return sorted({*whole, *self.database[bucket].chunks.distinct("files_id")})

    def letters(self) -> list[EmailMessage]:
        """Return the letters in the outbox."""
        read = [
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in self.outbox.glob("*.eml")
        ]
        return [message for message in read if isinstance(message, EmailMessage)]

    def age(self, collection: str, field: str, by: timedelta) -> None:
        """Let time pass: a time in all documents of a collection that have it becomes so much earlier."""
        earlier = [{"$set": {field: {"$subtract": [f"${field}", round(by.total_seconds() * 1000)]}}}]
        assert self.database[collection].update_many({field: {"$type": "date"}}, earlier).modified_count

    def age_owed(self, by: timedelta = timedelta(minutes=1)) -> None:
        """Let time pass since events were owed."""
        earlier = {"$subtract": ["$$this.occurred_at", round(by.total_seconds() * 1000)]}
        older = {"$map": {"input": "$pending_events", "in": {"$mergeObjects": ["$$this", {"occurred_at": earlier}]}}}
        owing = {"pending_events.0": {"$exists": True}}
        changed = self.database.conversions.update_many(owing, [{"$set": {"pending_events": older}}])
        assert changed.modified_count

    def _start(
        self, run: Callable[..., None], death: Death | None, environ: Mapping[str, str], *arguments: str
    ) -> Part:
        settings = {
            **self._urls.to_environ(),
            "JWT_KEYS": f"k1={'s' * 32}",
            "LINK_KEYS": "k" * 32,
            "PUBLIC_URL": self.url,
            "OUTBOX_DIR": str(self.outbox),
            "LEASE_S": "3",
            "RETRY_PAUSE_S": "1",
            "CONVERT_WORKERS": "1",
            "LOG_FORMAT": "json",
            **environ,
        }
        log = self._folder / f"part-{len(self._parts)}.log"
        process = _FORKS.Process(target=_run, args=(run, death, settings, log, arguments), daemon=True)
        process.start()
        part = Part(process, log)
        self._parts.append(part)
        return part


def _serves(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def _run(
    run: Callable[..., None], death: Death | None, environ: Mapping[str, str], log: Path, arguments: tuple[str, ...]
) -> None:
    os.environ.update(environ)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if _CLOCK in environ:
        # The one place where the time is read.
        vars(shared_clock)["datetime"] = JumpingClock(Path(environ[_CLOCK]))
    run(death, *arguments)


def _serve(death: Death | None) -> None:
    if death:
        upload_app.app = upload_app.create_app(once(lambda: death.befalls(upload_app.connect())))
    gateway.main()


def _consume(death: Death | None, *packages: str) -> None:
    if death:
        convert_app.handler = convert_app.create_handler(once(lambda: death.befalls(convert_app.connect())))
    sys.exit(triggers.main(arguments=packages))


def _sweep(death: Death | None) -> None:
    if death:
        sweep_app.handler = sweep_app.create_handler(once(lambda: death.befalls(sweep_app.connect())))
    InProcessFunctions(load_template().functions).invoke("SweepFunction", {})
