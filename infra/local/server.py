"""What the three local servers have in common: how one is started, watched and stopped."""

import os
import shutil
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from infra.local.processes import (
    InUse,
    LeashedProcess,
    ServerFailed,
    Stopping,
    free_port,
    locked,
    wait_until_ready,
)

_START_S = 60
_LOG_BYTES = 10 * 1024 * 1024
# One that is just being stopped, because whoever started it was killed, is gone after its grace.
_WAIT_FOR_OTHER_S = 20
_PORT_TAKEN = (b"address already in use", b"address in use", b"eaddrinuse")


class LocalServer(ABC):
    """A server on a port of 127.0.0.1 that keeps its data in `state_dir`, which survives it.

    The port is chosen at the first start and kept for as long as this object lives, so that clients find a
    server that was started again.
    """

    name: str
    stop_signal = signal.SIGTERM
    grace_s: float = 10

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / self.name.lower()
        self.data = self.folder / "data"
        self._whole = self.folder / "data-is-whole"
        self.log = state_dir / "logs" / f"{self.name.lower()}.log"
        self.port = free_port()
        self.process: LeashedProcess | None = None
        self._log_from = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @property
    @abstractmethod
    def advice(self) -> str:
        """What a person can do when it does not start."""

    @abstractmethod
    def prepare(self, stopping: Stopping) -> None:
        """Make its data if there is none. Raises ServerFailed and Interrupted."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it serves clients. It is asked only once something listens on the port."""

    def environ(self) -> Mapping[str, str]:
        """Return the environment of the program."""
        return os.environ

    def start(self, stopping: Stopping) -> None:
        """Start it and return when it serves clients.

        Raises:
            ServerFailed: it cannot be started. The message says what to do.
            Interrupted: `stopping` was set.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        self.log.touch()
        with locked(self.folder / "lock", self._in_use, wait_s=_WAIT_FOR_OTHER_S, stopping=stopping) as lock:
            if not self._whole.exists():
                # A first start that was interrupted may leave data that cannot be used.
                shutil.rmtree(self.data, ignore_errors=True)
            self.prepare(stopping)
            first = self.process is None
            try:
                self._start(lock, stopping)
            except ServerFailed:
                if not (first and self._port_was_taken()):
                    raise
                # Somebody took the port between our look and the server's.
                self.port = free_port()
                self._start(lock, stopping)
            self._whole.touch()

    def start_again(self, stopping: Stopping) -> None:
        """Start it after it ended, and return when it serves clients. Raises as `start` does."""
        self.start(stopping)

    def stop(self) -> None:
        """Stop it and return when it is gone."""
        if self.process is not None:
            self.process.stop()

    def _start(self, lock: int, stopping: Stopping) -> None:
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        self.process = LeashedProcess(
            self.name,
            self.command(),
            environ=self.environ(),
            log=self.log,
            # Whoever comes next waits until the last process that works on this data is gone.
            holding=[lock],
            stop_signal=self.stop_signal,
            grace_s=self.grace_s,
        )
        wait_until_ready(
            self.process, self._listens_and_is_ready, timeout_s=_START_S, advice=self.advice, stopping=stopping
        )

    def _listens_and_is_ready(self) -> bool:
        # Clients of these servers are slow and noisy about one that is not there.
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return self.ready()

    def _port_was_taken(self) -> bool:
        said = self.log.read_bytes()[self._log_from :].lower()
        return any(sign in said for sign in _PORT_TAKEN)

    def _in_use(self) -> InUse:
        return InUse(f"Another {self.name} is using {self.folder}.", "Stop it, or use another state folder.")
