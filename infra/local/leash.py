"""Run one program, and end it with all that it started as soon as whoever asked for it is gone.

    python -I -S leash.py SIGNAL GRACE_S PROGRAM ARGUMENT...

Standard input is a socket to the one who asked. The program's process id is written to it; when its other
end closes, even because that process was killed with SIGKILL, the program gets SIGNAL, and after GRACE_S
seconds SIGKILL. A byte that comes before the end means SIGKILL at once. What the program left running,
daemons too, is killed after it. This file stands on the standard library alone and starts in a few
hundredths of a second.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

# https://man7.org/linux/man-pages/man2/prctl.2.html
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Return the exit status of the program, as a shell would."""
    stop_signal, grace_s, program = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    # Orphans of the program become children of this process, so a daemon it starts is not lost.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # Signals arrive as bytes on a socket, so that one `select` waits for all there is to wait for.
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    owner = socket.socket(fileno=0)

    leash = os.getpid()
    child = os.fork()
    if child == 0:
        _become(program, leash)
    with contextlib.suppress(OSError):
        owner.sendall(f"{child}\n".encode())

    kill_at: float | None = None
    while True:
        status = _reap(child)
        if status is not None:
            break
        left_s = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select([woken] if kill_at is not None else [woken, owner], [], [], left_s)
        asked = owner in ready or (woken in ready and not set(woken.recv(4096)) <= {signal.SIGCHLD})
        if kill_at is None and asked:
            at_once = owner in ready and owner.recv(1) != b""
            kill_at = time.monotonic() + (0 if at_once else grace_s)
            _signal(child, signal.SIGKILL if at_once else stop_signal)
        elif kill_at is not None and time.monotonic() >= kill_at:
            _signal(child, signal.SIGKILL)
            kill_at += 1
    _kill_descendants()
    return status


def _become(program: list[str], leash: int) -> None:
    """Turn this forked process into the program, which dies with the leash, whose process id is given."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Of a leash that died before this, no signal comes.
        if os.getppid() != leash:
            os._exit(128 + signal.SIGKILL)
        os.execvp(program[0], program)  # noqa: S606  # there is no shell, on purpose
    except OSError as error:
        print(f"{program[0]} cannot be started: {error}", file=sys.stderr, flush=True)
    os._exit(127)


def _reap(child: int) -> int | None:
    """Collect processes that ended. Returns the exit status of `child` if it is among them."""
    status: int | None = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, waited = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(waited)
                status = code if code >= 0 else 128 - code
    return status


def _kill_descendants() -> None:
    deadline = time.monotonic() + 5
    while (pids := _descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.01)
        _reap(-1)


def _descendants(ancestor: int) -> set[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # The second field, a name in parentheses, may hold anything: read on from its end.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
