"""What can only be asked of a deployment: that it is made of functions, and what becomes of a message there."""

from collections.abc import Iterator

import pytest

from infra.local.servers import ServerUrls
from tests.emulator_stack import Emulator, Packages, running_emulator


@pytest.fixture(scope="package")
def emulator(servers: ServerUrls, packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("emulator"), servers, packages) as running:
        yield running
