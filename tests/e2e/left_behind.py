"""Which processes still belong to a folder, told by their command lines and environments."""

import contextlib
import time
from pathlib import Path

import psutil


def processes_of(folder: Path) -> dict[int, str]:
    """Return the processes that name `folder`, by their ids. The RabbitMQ node and its epmd do in their HOME."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            told = [*process.cmdline(), *process.environ().values()]
            if any(str(folder) in text for text in told) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process.name()
    return found


def wait_until_none(folder: Path, timeout_s: float) -> dict[int, str]:
    """Return the processes that are left after the last has gone, which is none, or after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
