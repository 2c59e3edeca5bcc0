"""Uploads while something dies. The supervisor starts it again, the client resumes, and no byte is wrong or lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.e2e.tus_js_client import Story, TusJs
from tests.faults.processes import Faults
from tests.tcp_proxy import TcpProxy, proxied
from tests.tus import MIB, Tus, noise, sha256, stored, until

CONTENT = noise(24 * MIB + 3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "noise.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def faults(stack: RunningStack) -> Iterator[Faults]:
    """Afterwards all is well again, for the tests that come."""
    faults = Faults(stack)
    yield faults
    faults.wait_until_well()


class Upload:
    """An upload by tus-js-client, in one PATCH, which stands still when part of it has arrived."""

    def __init__(self, tus_js: TusJs, tus: Tus, database: Database[Document], file: Path) -> None:
        self._tus_js = tus_js
        self._tus = tus
        self._file = file
        self.database = database

    def while_it_stands(self, happens: Callable[[TcpProxy], object]) -> Story:
        """Upload the file, and let something happen in the middle."""
        half = {"owner.id": self._tus.id, "length": len(CONTENT), "offset": {"$gt": 0, "$lt": len(CONTENT)}}
        with proxied(self._tus.endpoint) as (proxy, endpoint):
            proxy.freeze_after(10 * MIB)
            with self._tus_js.begin("upload.mjs", self._tus, self._file, endpoint=endpoint) as client:
                until(lambda: proxy.frozen and self.database.uploads.find_one(half))
                happens(proxy)
                proxy.thaw()
                return client.end()


@pytest.fixture
def upload(tus_js: TusJs, tus: Tus, database: Database[Document], file: Path) -> Upload:
    return Upload(tus_js, tus, database, file)


def test_an_upload_goes_on_after_the_gateway_was_killed(faults: Faults, upload: Upload) -> None:
    """What it held in memory is lost, what was stored is not, and nobody holds the upload for ever."""

    def happens(proxy: TcpProxy) -> None:
        proxy.go_down()
        faults.wait_until_well(faults.kill("gateway"))
        proxy.come_up()

    story = upload.while_it_stands(happens)

    assert len(story.answers("POST")) == 1
    assert int(story.answers("PATCH")[-1]["from"]) > 0
    assert sha256(stored(upload.database, story.path)) == sha256(CONTENT)


def test_an_upload_goes_on_after_mongodb_was_killed(faults: Faults, upload: Upload) -> None:
    """A write that was acknowledged is on disk; one that was not is done again, here or by the client."""
    story = upload.while_it_stands(lambda _: faults.kill("mongodb"))

    assert len(story.answers("POST")) == 1
    assert sha256(stored(upload.database, story.path)) == sha256(CONTENT)
