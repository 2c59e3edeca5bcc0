"""A command beside the stack: what it is told, and what is said when there is nothing to tell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.processes import Stopping
from infra.local.servers import ServerUrls
from infra.local.state import Running, State

URLS = ServerUrls("postgresql://127.0.0.1:1/p", "mongodb://127.0.0.1:2/m", "amqp://127.0.0.1:3/%2F")
PRINT = "import json, os; print(json.dumps([os.environ.get(n + '_URL') for n in ('POSTGRES', 'MONGODB', 'AMQP')]))"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The state folder of a stack that runs, as far as others can see."""
    state = State(tmp_path)
    with state.taken(Stopping()):
        state.announce(Running(os.getpid(), "http://127.0.0.1:4", ready=True, urls=URLS, pids={}))
        yield tmp_path


def run_beside(state: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.local", "exec", "--state", str(state), *command],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("dashes", [(), ("--",)], ids=["plain", "after --"])
def test_a_command_is_told_where_the_servers_of_the_stack_are(running: Path, dashes: tuple[str, ...]):
    """Their ports are others at each start."""
    done = run_beside(running, *dashes, sys.executable, "-c", PRINT)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == list(URLS)


def test_what_is_named_already_stays(running: Path):
    """Somebody may mean another server while a stack runs."""
    done = run_beside(running, sys.executable, "-c", PRINT, AMQP_URL="amqp://elsewhere", MONGODB_URL="")

    assert json.loads(done.stdout) == [URLS.postgres, URLS.mongodb, "amqp://elsewhere"]


def test_without_a_stack_a_named_server_is_enough(tmp_path: Path):
    """Then the command is for that one."""
    done = run_beside(tmp_path, sys.executable, "-c", PRINT, AMQP_URL="amqp://elsewhere")

    assert json.loads(done.stdout) == [None, None, "amqp://elsewhere"]


def test_a_command_finds_the_programs_of_the_bundled_postgresql(running: Path):
    """The pg_dump of a distribution is older, and refuses."""
    done = run_beside(running, "pg_dump", "--version")

    assert done.stdout.startswith("pg_dump (PostgreSQL) 18.")


def test_without_a_stack_and_a_server_it_says_what_to_do(tmp_path: Path):
    """The command itself would only say that a variable is missing."""
    done = run_beside(tmp_path, sys.executable, "-c", PRINT)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"No stack runs on {tmp_path}. Start one with `make run`, or name servers with "
        "POSTGRES_URL and MONGODB_URL and AMQP_URL.\n"
    )


def test_a_program_that_is_not_there_is_named(running: Path):
    """As a shell does."""
    done = run_beside(running, "no-such-program")

    assert (done.returncode, done.stderr) == (127, "no-such-program cannot be run: No such file or directory\n")


def test_without_a_command_it_says_how_it_is_used(running: Path):
    """Nothing to run is a mistake."""
    done = run_beside(running)

    assert (done.returncode, done.stderr) == (2, "Name a command: python -m infra.local exec COMMAND ...\n")
