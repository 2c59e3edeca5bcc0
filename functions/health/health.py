"""Look at all servers at the same time, for as many as ask."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from aws_lambda_powertools import Logger

# A server that takes longer is of no use to a function.
TIMEOUT_S = 2.0

Check = Callable[[], object]


class Down(Exception):
    """Raised by a check when a server answers but cannot be used. The message says why, for everyone to read."""


class _Running(NamedTuple):
    """A check that is under way, and when it counts as having had no answer."""

    state: Future[str]
    until: float


class Health:
    """All checks, by the name of the server. A check returns if the server is well, and raises if not.

    Threads may share one. Anybody may ask, and each check opens connections: so whoever asks while a check is under
    way gets what that one finds, and one that hangs is not begun again. There are never more threads than checks.
    """

    def __init__(self, checks: Mapping[str, Check], logger: Logger, timeout_s: float = TIMEOUT_S) -> None:
        self._checks = checks
        self._logger = logger
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}

    def look(self) -> dict[str, str]:
        """Run every check at the same time and return `ok` or `down: <why>` for each, within the time-out."""
        with self._lock:
            begun = [self._running.get(name) or self._begin(name, check) for name, check in self._checks.items()]
        return {name: self._state(running) for name, running in zip(self._checks, begun, strict=True)}

    def _begin(self, name: str, check: Check) -> _Running:
        running = _Running(Future(), time.monotonic() + self._timeout_s)
        # A thread of its own, and a daemon: health is to be seen when all others are taken, and a server that hangs
        # must not keep the process from ending.
        threading.Thread(target=self._run, args=(name, check, running.state), name=f"check {name}", daemon=True).start()
        self._running[name] = running
        return running

    def _run(self, name: str, check: Check, state: Future[str]) -> None:
        try:
            check()
        except Down as error:
            found = f"down: {error}"
        except Exception:
            # What a driver says may hold addresses and names; it is for the log.
            self._logger.warning("a server is down", extra={"server": name}, exc_info=True)
            found = "down: does not answer"
        else:
            found = "ok"
        with self._lock:
            del self._running[name]
        state.set_result(found)

    def _state(self, running: _Running) -> str:
        try:
            return running.state.result(max(0.0, running.until - time.monotonic()))
        except TimeoutError:
            return f"down: no answer within {self._timeout_s:g} s"
