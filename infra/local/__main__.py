"""Run the stack on this machine, show what it does, or run a command beside it: python -m infra.local run|demo|exec."""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from functions.shared.logs import get_logger
from functions.shared.settings import InvalidSettings
from infra.local.beside import exec_beside
from infra.local.demo import DEFAULT_VIDEO, DemoFailed, demo
from infra.local.processes import Interrupted, ServerFailed, Stopping
from infra.local.state import State
from infra.local.supervisor import Supervisor

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="run the stack in the foreground until Ctrl-C")
    demo_parser = commands.add_parser("demo", help="turn one video into an MP3, through the whole stack")
    what = "run a command that is told where the servers of the stack are"
    exec_parser = commands.add_parser("exec", help=what, description=what)
    for command in (run_parser, demo_parser, exec_parser):
        command.add_argument(
            "--state",
            type=Path,
            default=Path(os.environ.get("V2M_STATE") or ".local"),
            help="the folder that keeps all data (default: $V2M_STATE, or .local)",
        )
        command.add_argument("--with-parent", action="store_true", help="stop when the calling process dies")
    demo_parser.add_argument("video", nargs="?", default=DEFAULT_VIDEO, help="the video (default: %(default)s)")
    exec_parser.add_argument("program", nargs=argparse.REMAINDER, help="the command and its arguments")
    given = parser.parse_args(arguments)
    if given.command == "exec":
        return exec_beside(State(given.state), given.program, os.environ)

    stopping = Stopping()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup make run` goes on
            signal.signal(number, lambda *_: stopping.set())
    if given.with_parent and sys.platform == "linux":
        # A `make` that is killed does not tell us otherwise.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.environ.setdefault("LOG_FORMAT", "text" if sys.stdout.isatty() else "json")
    state = State(given.state)
    try:
        if given.command == "demo":
            demo(given.video, state, os.environ, stopping)
        else:
            run(state, stopping)
    except Interrupted:
        return 0 if given.command == "run" else 130
    except (ServerFailed, DemoFailed, InvalidSettings) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run(state: State, stopping: Stopping) -> None:
    """Run the stack until `stopping` is set. Raises ServerFailed, and Interrupted at the end."""
    with state.taken(stopping):
        supervisor = Supervisor(state, os.environ, get_logger("local"))
        try:
            print(f"Starting video2mp3; its data is in {state.folder}", flush=True)
            supervisor.start(stopping)
            lines = [f"video2mp3 is ready: {supervisor.url}"]
            if metrics := " ".join(supervisor.metrics.values()):
                lines.append(f"Metrics: {metrics}")
            print(*lines, "Ctrl-C stops it.", sep="\n", flush=True)
            supervisor.watch(stopping)
        finally:
            if stopping.is_set():
                print("Stopping video2mp3", flush=True)
            supervisor.stop()


if __name__ == "__main__":
    sys.exit(main())
