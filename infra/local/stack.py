"""A whole stack as a child of this process, for the demo and for tests."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.local.processes import LeashedProcess, ServerFailed, Stopping
from infra.local.servers import ServerUrls
from infra.local.state import Running, State

_START_S = 120
_STOP_S = 60


class RunningStack:
    """A stack that runs in a process of its own, under the supervisor that `make run` uses."""

    def __init__(self, state: State, process: LeashedProcess) -> None:
        self._state = state
        self._process = process
        self.outbox = state.outbox

    @property
    def now(self) -> Running:
        """What the stack says about itself. Raises ServerFailed if it has ended."""
        running = self._state.running()
        if running is None:
            raise _ended(self._process)
        return running

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return self.now.url

    @property
    def urls(self) -> ServerUrls:
        """Where the servers are. Raises ServerFailed while the stack is starting."""
        urls = self.now.urls
        if urls is None:
            raise ServerFailed("The stack is still starting.", "Wait until it is ready.")
        return urls

    @property
    def pids(self) -> dict[str, int]:
        """The process ids by name: supervisor, gateway, triggers, postgresql, mongodb, rabbitmq."""
        return {"supervisor": self._process.pid, **self.now.pids}


@contextlib.contextmanager
def running_stack(
    state_dir: Path, environ: Mapping[str, str] = os.environ, stopping: Stopping | None = None
) -> Iterator[RunningStack]:
    """Run a stack with its data in `state_dir`, yield it when it works, and stop it.

    Without a PORT in `environ` it takes a free one. What it prints is in `state_dir`/logs/stack.log. It ends with
    this process, however that ends. Raises ServerFailed, and Interrupted when `stopping` was set.
    """
    state = State(state_dir)
    state.make_folders()
    process = LeashedProcess(
        "The stack",
        [sys.executable, "-m", "infra.local", "run", "--state", str(state.folder)],
        environ={"PORT": "0", "LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1", **environ},
        log=state.logs / "stack.log",
        grace_s=_STOP_S,
    )
    try:
        wait_until_up(state, stopping or Stopping(), process)
        yield RunningStack(state, process)
    finally:
        process.stop()


def wait_until_up(state: State, stopping: Stopping, process: LeashedProcess | None = None) -> Running:
    """Return what a stack, ours if `process` is given, says about itself when it is ready. Raises as running_stack."""
    deadline = time.monotonic() + _START_S
    while True:
        running = state.running()
        if running is not None and running.ready and (process is None or running.pid == process.pid):
            return running
        if process is not None and process.exit_status is not None:
            raise _ended(process)
        if running is None and process is None:
            raise ServerFailed("The stack that was running has stopped.", "Try again.")
        if time.monotonic() > deadline:
            raise ServerFailed(f"The stack was not ready after {_START_S} s.", "Look into its log.", state.logs)
        stopping.sleep(0.05)


def _ended(process: LeashedProcess) -> ServerFailed:
    return ServerFailed(f"The stack ended (exit status {process.exit_status}).", "Its log says why.", process.log)
