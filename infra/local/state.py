"""The state folder: what survives a restart, and the note that tells others about the stack that is running."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from infra.local.keys import write_private
from infra.local.processes import InUse, ServerFailed, Stopping, locked
from infra.local.servers import ServerUrls


class Running(NamedTuple):
    """A stack that runs. `pids` are by the names of its processes; before it is `ready` there may be none.

    `metrics` are the addresses that Prometheus reads, by the names of the processes.
    """

    pid: int
    url: str
    ready: bool
    urls: ServerUrls | None
    pids: dict[str, int]
    metrics: Mapping[str, str] = MappingProxyType({})


class State:
    """The folder `.local`, or another. One stack at a time uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.outbox = self.folder / "outbox"
        self.keys = self.folder / "secrets.json"
        self.logs = self.folder / "logs"
        self._lock = self.folder / "run.lock"
        self._note = self.folder / "run.json"

    def make_folders(self) -> None:
        """Make the folder, and the one for logs in it. Raises ServerFailed."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServerFailed(
                f"The folder {self.folder} cannot be made: {error.strerror}.", "Name another with V2M_STATE."
            ) from error

    @contextlib.contextmanager
    def taken(self, stopping: Stopping) -> Iterator[None]:
        """Keep the folder for one stack. Raises InUse, which says where the other is, ServerFailed and Interrupted."""
        self.make_folders()
        # Somebody who looks whether a stack runs holds the lock for a moment.
        with locked(self._lock, self._in_use, wait_s=1, stopping=stopping):
            self._note.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._note.unlink(missing_ok=True)

    def announce(self, running: Running) -> None:
        """Tell others about the stack. The note holds a password, so only its owner may read it."""
        write_private(self._note, json.dumps(running._asdict() | {"metrics": {**running.metrics}}))

    def running(self) -> Running | None:
        """Return the stack that uses this folder, or None."""
        if not self.folder.is_dir():
            return None
        try:
            with locked(self._lock, self._in_use, wait_s=0, stopping=Stopping()):
                return None
        except InUse:
            return self._read()

    def _read(self) -> Running | None:
        try:
            note = json.loads(self._note.read_text())
        except FileNotFoundError:
            return None
        urls = None if note["urls"] is None else ServerUrls(*note["urls"])
        return Running(**{**note, "urls": urls})

    def _in_use(self) -> InUse:
        other = self._read()
        if other is None:
            where = "is starting or stopping"
        else:
            where = f"{'is running' if other.ready else 'is starting'} at {other.url} (process {other.pid})"
        return InUse(
            f"A stack {where}; it uses {self.folder}.",
            "Use that one, stop it with Ctrl-C, or set V2M_STATE and PORT to run another beside it.",
        )
