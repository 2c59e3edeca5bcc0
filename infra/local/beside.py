"""Run a command beside the stack of this machine: it is told where the servers are, and finds PostgreSQL's programs."""

import os
import sys
from collections.abc import Mapping, Sequence

from infra.local.postgres import programs
from infra.local.processes import ServerFailed
from infra.local.servers import ServerUrls
from infra.local.state import State

_URLS = ("POSTGRES_URL", "MONGODB_URL", "AMQP_URL")


def exec_beside(state: State, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become `command`, with POSTGRES_URL, MONGODB_URL and AMQP_URL of the stack that runs on `state`.

    What `environ` says comes first; if it names a server, no stack has to run. pg_dump and its like are those of the
    bundled PostgreSQL: older ones do not speak with it. Returns only if it cannot be done: the exit code.
    """
    arguments = [*command[1:]] if command[:1] == ["--"] else [*command]
    if not arguments:
        print("Name a command: python -m infra.local exec COMMAND ...", file=sys.stderr)
        return 2
    urls = _urls(state)
    if urls is None and not any(environ.get(name) for name in _URLS):
        print(
            f"No stack runs on {state.folder}. Start one with `make run`, or name servers with {' and '.join(_URLS)}.",
            file=sys.stderr,
        )
        return 1
    found = {} if urls is None else urls.to_environ()
    path = os.pathsep.join([*_programs(), environ.get("PATH") or os.defpath])
    told = {**found, **{name: value for name, value in environ.items() if value}, "PATH": path}
    try:
        os.execvpe(arguments[0], arguments, told)  # noqa: S606  # a list, never a string for a shell
    except OSError as error:
        print(f"{arguments[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 127


def _urls(state: State) -> ServerUrls | None:
    running = state.running()
    return None if running is None else running.urls


def _programs() -> list[str]:
    try:
        return [str(programs())]
    except ServerFailed:  # there is none for this system
        return []
