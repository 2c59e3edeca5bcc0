"""The processes of this project that a stack runs: the gateway and the triggers."""

import sys
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from infra.local.processes import LeashedProcess, Stopping, wait_until_ready

_START_S = 30


class Service:
    """`python -m module` with its own environment, whose output goes where ours goes.

    It is ready when `ready_url` answers 200, or at once if it has none. After a signal it gets `drain_s`
    seconds to finish what it is doing.
    """

    def __init__(
        self, name: str, module: str, environ: Mapping[str, str], *, drain_s: float, ready_url: str | None = None
    ) -> None:
        self.name = name
        self.process: LeashedProcess | None = None
        self._module = module
        self._environ = environ
        self._grace_s = drain_s + 8
        self._ready_url = ready_url

    def start(self, stopping: Stopping) -> None:
        """Start it and return when it is ready. Raises ServerFailed and Interrupted."""
        wait_until_ready(
            self._spawn(), self._ready, timeout_s=_START_S, advice="What it said is above.", stopping=stopping
        )

    def start_again(self, stopping: Stopping) -> None:  # noqa: ARG002
        """Start it and return at once: it may have to wait for a server that is started again after it."""
        self._spawn()

    def _spawn(self) -> LeashedProcess:
        command = [sys.executable, "-m", self._module]
        self.process = LeashedProcess(self.name, command, environ=self._environ, grace_s=self._grace_s)
        return self.process

    def _ready(self) -> bool:
        if self._ready_url is None:
            return True
        try:
            return httpx.get(self._ready_url, timeout=5).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False
