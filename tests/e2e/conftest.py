"""One stack for all tests that do not do something to a stack that others would notice."""

import os
import shutil
from collections.abc import Iterator

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.stack import RunningStack, running_stack
from tests.e2e.tus_js_client import TusJs
from tests.tus import MAX_UPLOAD_BYTES, QUOTA_BYTES, Tus, new_person


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with small limits, so that a test can reach them."""
    settings = {"LEASE_S": "3", "MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES), "QUOTA_BYTES": str(QUOTA_BYTES)}
    with running_stack(tmp_path_factory.mktemp("stack"), {**os.environ, **settings}) as running:
        yield running


@pytest.fixture(scope="package")
def database(stack: RunningStack) -> Iterator[Database[Document]]:
    database = connect_mongo(stack.urls.mongodb)
    yield database
    database.client.close()


@pytest.fixture(scope="module")
def tus(stack: RunningStack) -> Iterator[Tus]:
    """Somebody who uploads. All tests of a module are the same person, since a login takes a while."""
    tus = new_person(stack.url)
    yield tus
    tus.person.close()


@pytest.fixture(scope="module")
def stranger(stack: RunningStack) -> Iterator[Tus]:
    """Somebody else."""
    stranger = new_person(stack.url)
    yield stranger
    stranger.person.close()


@pytest.fixture(scope="package")
def tus_js(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TusJs]:
    """tus-js-client, and the scripts that drive it."""
    folder = tmp_path_factory.mktemp("tus_js")
    yield TusJs.installed(folder)
    shutil.rmtree(folder)
