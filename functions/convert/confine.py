"""Run a program that dies with its parent and within limits: `python confine.py PARENT NICENESS MEMORY FILE PROGRAM …`.

PARENT is the pid of the caller, NICENESS how far the program stands back where others want the same core,
MEMORY the largest address space and FILE the largest file it may write, in bytes. This is a program of its
own because running Python code between fork and exec is not safe in a process with threads. It comes with
each conversion, so it imports little.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 64


def main() -> None:
    """Set the limits and become the program."""
    parent, niceness, memory, file_size, *program = sys.argv[1:]
    if sys.platform == "linux":
        # Without it, a killed worker would leave its ffmpeg running: prctl(2), PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            sys.exit("The parent has ended.")
    for limit, value in (
        (resource.RLIMIT_AS, int(memory)),
        (resource.RLIMIT_FSIZE, int(file_size)),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))
    if niceness != "0":
        _stand_back(niceness)
        if sys.platform == "linux":
            _take_turns()
    # ffmpeg then gets an error instead of the signal, and says what happened.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Each thread would reserve an arena of the address space, which is limited: some videos need 30 threads. Nothing
    # else of the environment is of use to the program, and there are secrets in it.
    os.execve(program[0], program, {"MALLOC_ARENA_MAX": "1"})  # noqa: S606  # it is a list, and no shell is near


def _stand_back(niceness: str) -> None:
    """Let others have the cores first, also those of other sessions. A system that forbids it converts anyway."""
    try:
        os.nice(int(niceness))
        if os.getsid(0) == os.getpid():
            # Where the kernel compares sessions before processes, this is what counts: sched(7), "The autogroup
            # feature". Elsewhere there is no such file; and unless root writes, it takes one write in 0.1 s.
            with open("/proc/self/autogroup", "w") as autogroup:  # noqa: PTH123  # pathlib takes as long as the rest
                autogroup.write(niceness)
    except OSError:
        return


def _take_turns() -> None:
    """Keep threads that have a moment's work from taking the core from the one that encodes: sched(7), SCHED_BATCH."""
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError:
        return


if __name__ == "__main__":
    main()
