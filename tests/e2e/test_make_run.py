"""`make run` and `make demo`, as a developer types them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.stack import running_stack
from infra.local.state import Running, State
from tests.e2e.left_behind import processes_of, wait_until_none
from video2mp3 import Client

REPOSITORY = Path(__file__).parents[2]
# These tests are about our own servers, whatever the environment names.
OURS = {"POSTGRES_URL": "", "MONGODB_URL": "", "AMQP_URL": ""}


class Made:
    """A `make` under way with a state folder of its own, in a process group of its own as in a terminal."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.state = State(folder)
        self.folder = folder
        self.output = folder.with_name(f"{folder.name}-{uuid.uuid4().hex}.output")
        environ = os.environ | OURS | {"V2M_STATE": str(folder), "PORT": str(port)}
        # What the `make` that runs the tests was told is not for this one.
        for name in ("MAKEFLAGS", "ARGS"):
            environ.pop(name, None)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "--no-print-directory", *arguments],
                cwd=REPOSITORY,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def running(self) -> Running:
        running = self.state.running()
        assert running is not None, self.said
        return running

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.said
            return "Ctrl-C stops it" in self.said

        wait_for(ready, 90)

    def press_ctrl_c(self) -> None:
        """The terminal sends SIGINT to all processes in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f"make did not end: {self.said}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    made = Made(tmp_path_factory.mktemp("made") / "state", "run")
    made.wait_until_ready()
    yield made
    made.process.terminate()
    made.end()
    assert processes_of(made.folder) == {}
    shutil.rmtree(made.folder)


def test_a_stack_serves_requests_at_the_address_it_prints(made):
    """The first thing that a person does is to open it."""
    url = made.running().url

    assert f"video2mp3 is ready: {url}\n" in made.said
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_a_stack_says_where_its_metrics_are(made):
    """Whoever wants to watch it looks there; Prometheus is told once."""
    metrics = made.running().metrics

    assert f"Metrics: {metrics['gateway']} {metrics['triggers']}\n" in made.said
    assert [httpx.get(address).status_code for address in metrics.values()] == [200, 200]


def test_a_second_stack_on_the_same_data_is_refused_and_told_where_the_first_is(made):
    """Two on the same data would destroy it; and most likely the person has forgotten the other terminal."""
    second = Made(made.folder, "run")

    assert second.end() != 0
    running = made.running()
    assert f"A stack is running at {running.url} (process {running.pid})" in second.said


def test_the_demo_uses_the_stack_that_runs(made, tmp_path):
    """It then takes seconds, and shows the MP3 and the e-mail."""
    video = tmp_path / "bigbuckbunny.mp4"
    demo = subprocess.run(
        [REPOSITORY / ".venv/bin/python", "-m", "infra.local", "demo", "--state", made.folder, video.name],
        cwd=tmp_path,
        env=os.environ | OURS | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert demo.returncode == 0, demo.stderr
    assert f"A stack is running at {made.running().url}" in demo.stdout
    assert str(tmp_path / "bigbuckbunny.mp3") in demo.stdout
    assert "Subject: " in demo.stdout
    assert "/v1/downloads/" in demo.stdout
    assert (tmp_path / "bigbuckbunny.mp3").stat().st_size > 50_000


@pytest.mark.parametrize("name", ["gone.mp4", "."])
def test_the_demo_of_a_video_that_is_none_says_so(made, name):
    """And how to name one."""
    demo = Made(made.folder.with_name("demo"), "demo", f"VIDEO={name}")

    assert demo.end() != 0
    assert "make demo VIDEO=path" in demo.said
    assert "Traceback" not in demo.said


def test_a_process_that_dies_is_started_again(made):
    """A developer who breaks one process should not have to start all of them."""
    before = made.running()
    os.kill(before.pids["triggers"], signal.SIGKILL)
    os.kill(before.pids["gateway"], signal.SIGKILL)
    wait_for(lambda: ended(made, before, "triggers", "gateway") and is_ready(made), 30)

    assert made.running().url == before.url


def test_a_server_that_dies_is_started_again_in_its_place(made):
    """The others keep its address, so it has to come back at the same one."""
    before = made.running()
    os.kill(before.pids["mongodb"], signal.SIGKILL)
    wait_for(lambda: ended(made, before, "mongodb") and is_ready(made), 30)

    assert made.running().urls == before.urls


def test_ctrl_c_leaves_no_process_and_the_data_is_there_next_time(tmp_path):
    """Also when it is pressed twice, as people do. Accounts and logins are still good afterwards."""
    made = Made(tmp_path / "state", "run")
    made.wait_until_ready()
    with Client(made.running().url) as client:
        client.register("a@example.com", "correct horse battery")

    made.press_ctrl_c()
    wait_for(lambda: "Stopping" in made.said, 5)
    made.press_ctrl_c()
    made.end()

    assert processes_of(made.folder) == {}
    with running_stack(made.folder, os.environ | OURS) as stack, Client(stack.url) as client:
        client.login("a@example.com", "correct horse battery")
        assert {"supervisor", "gateway", "triggers", "postgresql", "mongodb", "rabbitmq"} == set(stack.pids)
    assert processes_of(made.folder) == {}


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_a_stack_that_is_ended_while_it_starts_leaves_no_process(tmp_path, how):
    """The servers are starting at that moment, and none of them may go on alone. SIGKILL ends `make` only."""
    made = Made(tmp_path / "state", "run")
    wait_for(lambda: {"postgres", "mongod", "beam.smp"} & set(processes_of(made.folder).values()), 30)

    if how == "Ctrl-C":
        made.press_ctrl_c()
    else:
        made.process.send_signal(getattr(signal, how))
    made.end()

    assert wait_until_none(made.folder, 20) == {}


def test_a_port_that_somebody_else_uses_is_told(tmp_path):
    """The message names the variable that changes it, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        made = Made(tmp_path / "state", "run", port=port)
        assert made.end() != 0

    assert f"Port {port} of 127.0.0.1 cannot be used" in made.said
    assert "make run PORT=" in made.said
    assert processes_of(made.folder) == {}


def test_the_secrets_are_made_once_and_only_their_owner_can_read_them(made):
    """Tokens and links must outlive a restart, and nobody else may make them."""
    secrets = made.folder / "secrets.json"

    assert secrets.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(secrets.read_text())) == {"JWT_KEYS", "LINK_KEYS"}


def ended(made: Made, before: Running, *names: str) -> bool:
    now = made.running().pids
    return all(now[name] != before.pids[name] for name in names)


def is_ready(made: Made) -> bool:
    try:
        return httpx.get(f"{made.running().url}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], object], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.1)
