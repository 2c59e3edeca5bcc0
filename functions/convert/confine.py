"""Run a program that dies with its parent and stays within limits: `python confine.py PARENT MEMORY FILE PROGRAM …`.

PARENT is the pid of the caller, MEMORY the largest address space and FILE the largest file it may write,
in bytes. This is a program of its own because running Python code between fork and exec is not safe in a
process with threads.
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
    parent, memory, file_size, *program = sys.argv[1:]
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
    # Each thread would reserve an arena of the address space, which is limited: some videos need 30 threads.
    os.environ["MALLOC_ARENA_MAX"] = "1"
    # ffmpeg then gets an error instead of the signal, and says what happened.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.execv(program[0], program)  # noqa: S606  # the program is a list, and no shell is near


if __name__ == "__main__":
    main()
