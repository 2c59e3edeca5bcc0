"""One suite for every way in which the service runs.

A test here asks HTTP, the letters and, seldom, the database, and never what it runs on. So it holds for the laptop, for
processes of their own as containers are, and for what is deployed to AWS. What can only be asked of our own gateway,
as slow clients, long bodies and broken HTTP, is in tests/e2e.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.api.services import Service, on_emulator, on_hosts, on_laptop
from tests.tus import Tus, new_person

# How each is started, and with which fixtures.
KINDS: dict[str, tuple[Callable[..., AbstractContextManager[Service]], list[str]]] = {
    "laptop": (on_laptop, []),
    "hosts": (on_hosts, ["servers"]),
    "emulator": (on_emulator, ["servers", "packages"]),
}


@pytest.fixture(scope="package", params=[pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in KINDS])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in one of its ways. All tests of one way come one after the other, so each is started once."""
    # What a way needs is there only when it is its turn.
    start, needs = KINDS[request.param]
    with start(tmp_path_factory.mktemp(request.param), *map(request.getfixturevalue, needs)) as service:
        yield service


@pytest.fixture(scope="package")
def database(service: Service) -> Database[Document]:
    return service.database


@pytest.fixture(scope="module")
def tus(service: Service) -> Iterator[Tus]:
    """Somebody who uploads. All tests of a module are the same person, since a login takes a while."""
    tus = new_person(service.url)
    yield tus
    tus.person.close()


@pytest.fixture(scope="module")
def stranger(service: Service) -> Iterator[Tus]:
    """Somebody else."""
    stranger = new_person(service.url)
    yield stranger
    stranger.person.close()


@pytest.fixture(scope="module")
def web(service: Service, tus: Tus) -> Iterator[httpx.Client]:
    """Plain HTTP of the same person. It follows no redirect by itself."""
    headers = {"Authorization": f"Bearer {tus.token}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        yield client
