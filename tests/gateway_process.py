"""The gateway with its functions, in a process of its own, on the servers of the tests."""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.links import Links
from functions.shared.mongo import Document
from infra.local.processes import LeashedProcess, Stopping, free_port, wait_until_ready
from infra.local.servers import ServerUrls

_LINK_KEY = "a key for links that is long enough"


@dataclass(frozen=True)
class GatewayProcess:
    """Where a gateway is, and where it logs."""

    url: str
    log: Path

    def link(self, conversion_id: str) -> str:
        """Return a link to an MP3."""
        return Links((_LINK_KEY,), self.url, utc_now).make(conversion_id, timedelta(hours=1)).url


@contextlib.contextmanager
def running_gateway(
    folder: Path,
    servers: ServerUrls,
    database: Database[Document],
    *,
    postgres_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[GatewayProcess]:
    """Run one on this MongoDB database. Without `postgres_url` nobody has an account."""
    port, log = free_port(), folder / "gateway.log"
    host, mongodb_port = database.client.address or ("127.0.0.1", 27017)
    gateway = GatewayProcess(f"http://127.0.0.1:{port}", log)
    process = LeashedProcess(
        "gateway",
        [sys.executable, "-m", "infra.gateway"],
        environ={
            **os.environ,
            **servers.to_environ(),
            "MONGODB_URL": f"mongodb://{host}:{mongodb_port}/{database.name}",
            "POSTGRES_URL": postgres_url or servers.postgres,
            "JWT_KEYS": f"k1={'s' * 32}",
            "LINK_KEYS": _LINK_KEY,
            "PORT": str(port),
            "PUBLIC_URL": gateway.url,
            "PYTHONUNBUFFERED": "1",
            **(environ or {}),
        },
        log=log,
    )
    wait_until_ready(process, lambda: _lives(gateway.url), timeout_s=30, advice="Look there.", stopping=Stopping())
    try:
        yield gateway
    finally:
        process.stop()


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
