"""The service in the ways it runs."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.servers import ServerUrls
from infra.local.stack import running_stack
from tests import letters
from tests.emulator_stack import Packages, running_emulator
from tests.hosts import running_hosts
from tests.letters import Letter
from tests.tus import MAX_UPLOAD_BYTES, QUOTA_BYTES

# Whose pages may use the API.
ORIGIN = "https://page.example"
STAGE_SETTINGS: dict[str, int | str] = {
    "max_upload_bytes": MAX_UPLOAD_BYTES,
    "quota_bytes": QUOTA_BYTES,
    "cors_origin": ORIGIN,
}
# The same where they are environment variables.
SETTINGS = {name.upper(): str(value) for name, value in STAGE_SETTINGS.items()}


@dataclass(frozen=True)
class Service:
    """What is the same everywhere: an address, which may have a path, letters, and the database behind it all."""

    url: str
    letters_to: Callable[[str], list[Letter]]
    database: Database[Document]


@contextlib.contextmanager
def on_laptop(folder: Path) -> Iterator[Service]:
    """Run what `make run` runs."""
    with (
        running_stack(folder, {**os.environ, **SETTINGS}) as stack,
        _connected(stack.urls.mongodb) as database,
    ):
        yield Service(stack.url, lambda address: letters.in_outbox(stack.outbox, address), database)


@contextlib.contextmanager
def on_hosts(folder: Path, servers: ServerUrls) -> Iterator[Service]:
    """Run the gateway, a host for each HTTP function and the triggers, as compose.yaml does."""
    with running_hosts(folder, servers, SETTINGS) as stack, _connected(stack.urls.mongodb) as database:
        yield Service(stack.url, lambda address: letters.in_outbox(stack.outbox, address), database)


@contextlib.contextmanager
def on_emulator(folder: Path, servers: ServerUrls, packages: Packages) -> Iterator[Service]:
    """Deploy template.yaml to an AWS of this machine."""
    with (
        running_emulator(folder, servers, packages, STAGE_SETTINGS) as emulator,
        _connected(emulator.databases.mongodb) as database,
    ):
        yield Service(emulator.url, lambda address: letters.in_ministack(emulator.endpoint_url, address), database)


@contextlib.contextmanager
def _connected(mongodb_url: str) -> Iterator[Database[Document]]:
    database = connect_mongo(mongodb_url)
    yield database
    database.client.close()
