"""Processes that cannot outlive this one, and what is said when one does not work."""

import contextlib
import errno
import fcntl
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
_LOG_LINES_SHOWN = 8
# As PostgreSQL, MongoDB, RabbitMQ and Python write it.
_TELLS_OF_ERROR = re.compile(r'FATAL|ERROR|"s":"[EF]"|\[error\]|Error: ')
_POLL_S = 0.05
_LEASH_START_S = 20
# https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html: ip_local_port_range begins at 32768
_QUIET_PORTS = range(20000, 32000)
# Each process has an order of its own, so that two that look at the same time seldom find the same.
_PORTS = itertools.cycle(secrets.SystemRandom().sample(_QUIET_PORTS, len(_QUIET_PORTS)))


class ServerFailed(Exception):
    """Raised when something this project starts does not start or does not stay.

    `log` is the file that says more, if there is one, and `advice` what a person can do.
    """

    def __init__(self, what: str, advice: str, log: Path | None = None) -> None:
        lines = [what]
        if log is not None and (said := telling_lines(log)):
            lines += ["It said:", *(f"    {line}" for line in said)]
        if log is not None:
            lines.append(f"Log: {log}")
        lines.append(advice)
        super().__init__("\n".join(lines))
        self.what = what
        self.advice = advice
        self.log = log


class InUse(ServerFailed):
    """Raised when somebody else is using what only one can use."""


class Interrupted(Exception):
    """Raised when a start is given up because everything is to stop."""


class Stopping:
    """Whether everything is to stop. Set when it was set itself, or when `parent` is.

    A signal handler may set it at any moment: unlike a threading.Event it holds no lock.
    """

    def __init__(self, parent: "Stopping | None" = None) -> None:
        self._set = False
        self._parent = parent

    def set(self) -> None:
        """Say that everything is to stop."""
        self._set = True

    def is_set(self) -> bool:
        """Whether everything is to stop."""
        return self._set or (self._parent is not None and self._parent.is_set())

    def sleep(self, seconds: float) -> None:
        """Wait a moment. Raises Interrupted if everything is to stop."""
        if self.is_set():
            raise Interrupted
        time.sleep(seconds)


class LeashedProcess:
    """A program that ends, with all it started, when `stop` is called or when this process dies in any way.

    `log` takes what it prints; without one that goes where our own output goes. `holding` are descriptors that
    stay open until the program and all that it started are gone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        log: Path | None = None,
        holding: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10,
    ) -> None:
        self._owner, theirs = socket.socketpair()
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(int(stop_signal)), str(grace_s)]
        with theirs, contextlib.nullcontext() if log is None else log.open("ab") as output:
            self._leash = subprocess.Popen(
                [*leash, *command],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                env=dict(environ),
                # Ctrl-C in the terminal is for us: we stop things in order.
                start_new_session=True,
                pass_fds=holding,
            )
        self.name = name
        self.log = log
        self._grace_s = grace_s
        self._owner.settimeout(_LEASH_START_S)
        said = self._owner.recv(32)
        self.pid = int(said) if said else self._leash.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status of the program, or None while it or anything it started runs."""
        status: int | None = self._leash.poll()
        if status is not None:
            self._owner.close()
        return status

    def ask_to_stop(self) -> None:
        """Let the program end, without waiting for it."""
        self._owner.close()

    def kill(self) -> None:
        """End the program and all that it started at once, and return when they are gone."""
        with contextlib.suppress(OSError):
            self._owner.sendall(b"!")
        self.stop()

    def stop(self) -> None:
        """End the program and all that it started, and return when they are gone."""
        self.ask_to_stop()
        try:
            self._leash.wait(self._grace_s + 10)
        except subprocess.TimeoutExpired:
            self._leash.kill()
            self._leash.wait()


def wait_until_ready(
    process: LeashedProcess,
    ready: Callable[[], bool],
    *,
    timeout_s: float,
    advice: str,
    stopping: Stopping,
) -> None:
    """Return once `ready()` holds. If it raises, the process is gone.

    Raises:
        ServerFailed: the process ended, or was not ready in time.
        Interrupted: `stopping` was set.
    """
    try:
        _wait(process, ready, timeout_s, advice, stopping)
    except BaseException:
        process.kill()
        raise


def stop_all(processes: Iterable[LeashedProcess]) -> None:
    """Stop several processes at the same time, and return when all are gone."""
    asked = list(processes)
    for process in asked:
        process.ask_to_stop()
    for process in asked:
        process.stop()


def telling_lines(log: Path) -> list[str]:
    """Return the last lines of a log that tell of an error, or just the last ones; none if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
    return ([line for line in lines if _TELLS_OF_ERROR.search(line)] or lines)[-_LOG_LINES_SHOWN:]


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of `host` that nobody uses at this moment. Raises ServerFailed.

    It is none that was returned before, nor one that the system gives to those who call others: otherwise, before a
    server has started or while it is started again, somebody's connection could sit on its port.
    """
    while True:
        port = next(_PORTS)
        try:
            try_port(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ServerFailed(
                    f"No port of {host} can be used: {error.strerror}.", "Name an address of this machine."
                ) from error
        else:
            return port


def try_port(host: str, port: int) -> None:
    """Listen on a TCP port for a moment. Raises OSError if that cannot be done."""
    socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()


@contextlib.contextmanager
def locked(lock: Path, in_use: Callable[[], InUse], *, wait_s: float, stopping: Stopping) -> Iterator[int]:
    """Lock a file and yield its descriptor. Processes that hold a copy of that keep the lock.

    Raises:
        InUse: the one that `in_use` makes; somebody else still holds the lock after `wait_s`.
        ServerFailed: the file cannot be opened.
        Interrupted: `stopping` was set.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ServerFailed(
            f"{lock} cannot be opened: {error.strerror}.",
            "Give the folder to the user who runs this, or name another with V2M_STATE.",
        ) from error
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise in_use() from error
            stopping.sleep(_POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(
    process: LeashedProcess, ready: Callable[[], bool], timeout_s: float, advice: str, stopping: Stopping
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.exit_status is not None:
            raise ServerFailed(
                f"{process.name} ended while it was starting (exit status {process.exit_status}).", advice, process.log
            )
        if time.monotonic() > deadline:
            raise ServerFailed(f"{process.name} was not ready after {timeout_s:.0f} s.", advice, process.log)
        stopping.sleep(_POLL_S)
