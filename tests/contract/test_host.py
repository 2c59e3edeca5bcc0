"""The host as a process: how it starts, how it ends, and what its callers see of that."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.invoke import AnswerLost, Functions, FunctionUnavailable
from infra.lambda_functions import connect_functions
from infra.local.processes import free_port
from infra.template import Template
from tests.host_process import ROOT, HostProcess, running_host, write_functions
from tests.ministack import use_aws

SOURCE = """
import pathlib
import time

def quick(event, context):
    return event

def patient(event, context):
    # Works until it is told to hurry.
    pathlib.Path(event).touch()
    while context.get_remaining_time_in_millis() > 2_000:
        time.sleep(0.01)
    pathlib.Path(event).write_text("hurried")
    return "hurried"

def stubborn(event, context):
    pathlib.Path(event).touch()
    time.sleep(60)
"""
SETTINGS = {"POSTGRES_URL": "postgresql://nobody@127.0.0.1:9/x", "JWT_KEYS": f"k1={'s' * 32}"}


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    use_aws({"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}, monkeypatch)
    return write_functions(tmp_path, SOURCE, "quick", "patient", "stubborn", timeout_s=60)


@pytest.fixture
def host(tmp_path: Path, template: Template) -> Iterator[HostProcess]:
    with running_host(tmp_path, DRAIN_S="1") as running:
        yield running


@pytest.fixture
def functions(host: HostProcess, template: Template) -> Functions:
    return connect_functions(template.functions, host.url)


@pytest.fixture
def begin(functions: Functions, tmp_path: Path) -> Iterator[Callable[[str], "Future[Any]"]]:
    """Begin a call in a thread, and return when the function runs."""
    with ThreadPoolExecutor() as pool:

        def begin(name: str) -> "Future[Any]":
            call = pool.submit(functions.invoke, name, str(tmp_path / name))
            until((tmp_path / name).exists)
            return call

        yield begin


def until(condition: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"It did not come true within {timeout_s} s."
        time.sleep(0.02)


def end(host: HostProcess) -> float:
    """Ask a host to end, and return how long that took."""
    started = time.monotonic()
    os.kill(host.process.pid, signal.SIGTERM)
    until(lambda: host.process.exit_status is not None)
    return time.monotonic() - started


def test_a_host_that_has_nothing_to_do_ends_at_once_and_well(host: HostProcess, functions: Functions):
    """With the connections of its callers open, which they keep."""
    assert functions.invoke("quick", 1) == 1

    assert end(host) < 5
    assert host.process.exit_status == 0
    with pytest.raises(FunctionUnavailable):
        functions.invoke("quick", 1)


def test_a_head_without_end_is_refused(host: HostProcess):
    """It would fill the memory. Which reader of HTTP is installed makes no difference."""
    port = int(host.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        caller.sendall(b"POST / HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
        answer = caller.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_call_under_way_is_told_and_its_answer_arrives(
    host: HostProcess, functions: Functions, begin: Callable[[str], "Future[Any]"]
):
    """A deployment in mid-request is not seen by anybody."""
    call = begin("patient")

    os.kill(host.process.pid, signal.SIGTERM)

    assert call.result(10) == "hurried"
    until(lambda: host.process.exit_status == 0)


def test_an_asynchronous_call_is_finished_too(host: HostProcess, tmp_path: Path):
    """Its caller was told that it will be made, and will not look again."""
    said = tmp_path / "said"
    answer = httpx.post(
        host.invoke_url("patient"), headers={"X-Amz-Invocation-Type": "Event"}, json=str(said), timeout=5
    )
    until(said.exists)
    before = said.read_text()

    end(host)

    assert answer.status_code == 202
    assert (before, said.read_text()) == ("", "hurried")
    assert host.process.exit_status == 0


def test_a_function_that_does_not_listen_does_not_hold_a_host_up(
    tmp_path: Path, template: Template, begin: Callable[[str], "Future[Any]"], host: HostProcess
):
    """Kubernetes would kill it soon, and with it what is still being written down."""
    call = begin("stubborn")

    took_s = end(host)

    assert 5 < took_s < 12
    assert host.process.exit_status == 0
    with pytest.raises(AnswerLost):
        call.result(5)


def test_callers_of_a_host_that_died_find_it_again_when_it_is_back(tmp_path: Path, template: Template):
    """A container is started again at its address; the gateway goes on meanwhile."""
    port = free_port()
    functions = connect_functions(template.functions, f"http://127.0.0.1:{port}")
    with running_host(tmp_path, port=port) as first:
        functions.invoke("quick", 1)
        call: list[BaseException] = []
        thread = threading.Thread(target=lambda: call.append(_failure(functions, "stubborn", str(tmp_path / "called"))))
        thread.start()
        until((tmp_path / "called").exists)
        first.process.kill()
        thread.join(5)
    with pytest.raises(FunctionUnavailable) as refused:
        functions.invoke("quick", 1)

    with running_host(tmp_path, port=port):
        again = functions.invoke("quick", 1)

    assert [type(error) for error in call] == [AnswerLost]
    assert not isinstance(refused.value, AnswerLost)
    assert again == 1


def test_no_call_is_lost_when_a_busy_host_ends(tmp_path: Path, template: Template):
    """Its callers keep connections: one that is closed while a call is being written on it loses the call."""
    for _ in range(3):
        # Who fails here ends the host first, and with it the callers.
        with ThreadPoolExecutor(8) as pool, running_host(tmp_path) as host:
            functions = connect_functions(template.functions, host.url)
            host.log.write_text("")
            callers = [pool.submit(_until_it_fails, functions) for _ in range(8)]
            until(lambda: host.log.read_text().count('"message":"call"') > 100)
            end(host)
            ends = [caller.result(20) for caller in callers]
        assert AnswerLost not in {type(error) for _, error in ends}, ends
        assert all(calls > 0 for calls, _ in ends)


def _until_it_fails(functions: Functions) -> tuple[int, BaseException]:
    """Call, and return how often that succeeded and what came then."""
    for calls in itertools.count():
        try:
            functions.invoke("quick", 1)
        except FunctionUnavailable as error:
            return calls, error
    raise AssertionError


def _failure(functions: Functions, name: str, event: Any) -> BaseException:
    with pytest.raises(FunctionUnavailable) as failed:
        functions.invoke(name, event)
    return failed.value


def run(package: str, code: str = "pass", **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    program = f"import infra.host.__main__ as host; {code}; host.main(arguments=[{package!r}])"
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_package_that_is_not_there_is_named_with_those_that_are():
    ended = run("atuh", **SETTINGS)

    assert ended.returncode == 2
    assert "'atuh'" in ended.stderr
    assert "'auth', 'convert', 'download'" in ended.stderr


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"JWT_KEYS": SETTINGS["JWT_KEYS"]}, "POSTGRES_URL is not set"),
        ({**SETTINGS, "PORT": "http"}, "PORT cannot be used"),
        ({**SETTINGS, "MAX_CALLS": "0"}, "MAX_CALLS cannot be used"),
        ({**SETTINGS, "DRAIN_S": "-1"}, "DRAIN_S cannot be used"),
    ],
)
def test_a_host_without_its_settings_does_not_start_and_says_which(environ: dict[str, str], said: str):
    """A container that fails at once is seen by whoever deploys it."""
    ended = run("auth", **environ)

    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_host_imports_its_own_package_alone():
    """Its image has no library of the others, and its process no setting of theirs."""
    code = "import sys; host.HostServer.run = lambda self: print(*sorted(sys.modules))"

    ended = run("auth", code, **SETTINGS)

    modules = ended.stdout.split()
    assert ended.returncode == 0, ended.stderr
    assert {name.split(".")[1] for name in modules if name.startswith("functions.")} == {"auth", "shared"}
    assert {"infra.gateway", "infra.triggers", "pika", "pymongo", "boto3"}.isdisjoint(modules)
