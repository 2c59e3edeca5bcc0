"""Fixtures that any test can ask for. The servers start when the first test asks, and are real."""

import os
import shutil
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pika
import psycopg
import pytest
from psycopg import sql
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from functions.shared.rabbit_events import EXCHANGE
from infra.local.servers import ServerUrls, running_servers
from infra.mongo.schema import ensure_indexes
from infra.postgres import migrate
from infra.rabbitmq.topology import ARGUMENTS, declare
from tests.emulator_stack import Packages
from tests.faults import rows as faults
from tests.reports import Report, is_first_worker

pytest_plugins = ["tests.media", "tests.chromium"]


KINDS = ("laptop", "hosts", "emulator")


def pytest_configure(config: pytest.Config) -> None:
    """Let `-m emulator` choose the tests of one way to run the service."""
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: runs the service in this way")
    config.addinivalue_line(
        "markers", "row(number): tests that a fault does no harm, by its number in tests/faults/rows.py"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests stay together, and count those of tests/api before any is deselected."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_together_with(item)))
    api = [item for item in items if item.nodeid.startswith("tests/api/")]
    counts = {kind: sum(1 for item in api if item.get_closest_marker(kind)) for kind in KINDS}
    if api and is_first_worker(config):
        lines = (f"{kind:<10} {count:>4}" for kind, count in counts.items())
        Report.of(config).add("API tests, by the way in which the service runs", *lines)


def _together_with(item: pytest.Item) -> str:
    """Return the name of those that run one after the other in one process, as they share what takes long to start."""
    fixtures = getattr(item, "fixturenames", [])
    if os.environ.get("AMQP_URL") and not {"servers", "service", "stack"}.isdisjoint(fixtures):
        # Processes that share a broker would delete each other's queues. Without AMQP_URL each starts one of its own.
        return "one broker"
    if item.get_closest_marker("emulator") or "packages" in fixtures:
        return "emulator"
    if "service" in fixtures:
        return "laptop" if item.get_closest_marker("laptop") else "hosts"
    return str(item.path.parent if "stack" in fixtures else item.path)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process that ran tests has to tell."""
    Report.of(node.config).lines += getattr(node, "workeroutput", {}).get("report", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what is to be told, if the process that prints is another."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["report"] = Report.of(session.config).lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests have to tell."""
    run = [report for kind in ("passed", "failed", "error") for report in terminalreporter.getreports(kind)]
    if lines := faults.table(run):
        Report.of(config).add("What was done to the service, and what was observed", *lines)
    if lines := Report.of(config).lines:
        terminalreporter.section("report")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUrls]:
    """PostgreSQL, MongoDB and RabbitMQ: ours, or those that POSTGRES_URL, MONGODB_URL and AMQP_URL name."""
    folder = tmp_path_factory.mktemp("servers")
    with running_servers(folder) as urls:
        yield urls
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Iterator[Packages]:
    """The zips of all functions, each packed when it is first asked for."""
    folder = tmp_path_factory.mktemp("packages")
    packages = Packages(folder)
    yield packages
    made = sorted(packages.made.values(), key=lambda each: each.name)
    report.add("Zips", *(f"{each.name:<10} {each.zip_bytes / 1e6:5.1f} MB" for each in made))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """What the people who run the tests are told at the end."""
    return Report.of(pytestconfig)


@pytest.fixture
def mongo(servers: ServerUrls) -> Iterator[Database[Document]]:
    """An empty MongoDB database of this test's own, with all indexes."""
    client = connect_mongo(servers.mongodb).client
    database = client[f"test_{uuid.uuid4().hex}"]
    ensure_indexes(database)
    yield database
    client.drop_database(database.name)
    client.close()


@pytest.fixture(scope="session")
def migrated_postgres(servers: ServerUrls) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, from which those of the tests are copied."""
    name = f"template_{uuid.uuid4().hex}"
    _on_postgres(servers, "CREATE DATABASE {}", name)
    migrate(_with_database(servers.postgres, name))
    yield name
    _on_postgres(servers, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def postgres_url(servers: ServerUrls, migrated_postgres: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own, with empty tables."""
    name = f"test_{uuid.uuid4().hex}"
    _on_postgres(servers, "CREATE DATABASE {} TEMPLATE {}", name, migrated_postgres)
    yield _with_database(servers.postgres, name)
    _on_postgres(servers, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def amqp_url(servers: ServerUrls) -> str:
    """A RabbitMQ with the exchange and the queues newly declared, and nothing in them."""
    parameters = pika.URLParameters(servers.amqp)
    parameters.blocked_connection_timeout = 10
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue in ARGUMENTS:
            channel.queue_delete(queue)
        channel.exchange_delete(EXCHANGE)
    declare(servers.amqp)
    return servers.amqp


def _on_postgres(servers: ServerUrls, statement: str, *names: str) -> None:
    with psycopg.connect(servers.postgres, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
