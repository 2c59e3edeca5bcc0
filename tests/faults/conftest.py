"""One stack, with all its servers, to which things are done."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.servers import ServerUrls
from infra.local.stack import RunningStack, running_stack
from tests.faults.checker import Checker
from tests.faults.parts import Parts
from tests.faults.processes import Faults
from tests.faults.rows import ROWS, observe
from tests.faults.sweeping import Sweeper
from tests.faults.workers import Workers
from tests.tus import Tus, new_person

Observed = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each test's report name its row."""
    for item in items:
        for marker in item.iter_markers("row"):
            assert marker.args[0] in ROWS, item.nodeid
            item.user_properties.append(("row", marker.args[0]))


@pytest.fixture
def observed(request: pytest.FixtureRequest) -> Observed:
    """Says what a test saw: in a few words, with figures, for the line of its row."""
    return lambda text: observe(request.node, text)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that tests may hurt, in which a dead worker is noticed soon. Its supervisor starts again what ends."""
    with running_stack(
        tmp_path_factory.mktemp("stack"), {**os.environ, "LEASE_S": "3", "RETRY_PAUSE_S": "1"}
    ) as running:
        yield running


@pytest.fixture(scope="package")
def database(stack: RunningStack) -> Iterator[Database[Document]]:
    """The stack's MongoDB. It survives restarts: pymongo connects anew."""
    database = connect_mongo(stack.urls.mongodb)
    yield database
    database.client.close()


@pytest.fixture
def faults(stack: RunningStack) -> Iterator[Faults]:
    """Afterwards all is well again, for the tests that come."""
    faults = Faults(stack)
    yield faults
    faults.wait_until_well()


@pytest.fixture
def checker(stack: RunningStack, database: Database[Document]) -> Checker:
    return Checker(database, stack.outbox)


@pytest.fixture
def sweeper(stack: RunningStack) -> Sweeper:
    """sweep, called when a test wants it. The stack's own comes once a minute, and may come as well."""
    return Sweeper(stack.urls)


@pytest.fixture(scope="module")
def tus(stack: RunningStack) -> Iterator[Tus]:
    """Somebody who uploads. All tests of a module are the same person, since a login takes a while."""
    tus = new_person(stack.url)
    yield tus
    tus.person.close()


@pytest.fixture
def workers(servers: ServerUrls, mongo: Database[Document], amqp_url: str, tmp_path: Path) -> Iterator[Workers]:
    """Workers without a supervisor, on a database and queues that no other test uses."""
    workers = Workers(mongo, servers._replace(amqp=amqp_url), tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def parts(
    servers: ServerUrls, mongo: Database[Document], amqp_url: str, postgres_url: str, tmp_path: Path
) -> Iterator[Parts]:
    """Gateway, triggers and sweep, without a supervisor, on databases and queues that no other test uses."""
    parts = Parts(mongo, servers._replace(amqp=amqp_url, postgres=postgres_url), tmp_path)
    yield parts
    parts.end()
