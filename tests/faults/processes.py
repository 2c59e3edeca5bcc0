"""What is done to the processes of a stack."""

import contextlib
import os
import signal
from collections.abc import Iterator

import httpx
import psutil

from infra.local.stack import RunningStack
from tests.tus import until


class Faults:
    """Does things to the processes of a stack, by their names: gateway, triggers, postgresql, mongodb, rabbitmq."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack

    def kill(self, name: str) -> int:
        """Kill a process, and return which that was."""
        return self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a process a signal, and return which process that was."""
        pid = self._stack.pids[name]
        os.kill(pid, number)
        return pid

    @contextlib.contextmanager
    def paused(self, name: str) -> Iterator[int]:
        """Let a process stand still inside the block."""
        pid = self.signal(name, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def ffmpegs(self) -> list[psutil.Process]:
        """Return the ffmpegs that run under the triggers."""
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._stack.pids["triggers"]).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "ffmpeg" in child.name() and child.status() != psutil.STATUS_ZOMBIE:
                        found.append(child)
        return found

    def ffmpeg(self) -> psutil.Process:
        """Return an ffmpeg, as soon as there is one."""
        return until(self.ffmpegs)[0]

    def wait_until_well(self, killed: int | None = None) -> None:
        """Wait until the process `killed` is no part of the stack any more, and the stack works."""
        until(lambda: killed not in self._stack.pids.values() and self._is_ready(), within_s=60)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self._stack.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False
