"""The service in processes of its own for each part, as compose.yaml runs it, on the servers of the tests."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pika
import psycopg
from psycopg import sql

from functions.shared.mongo import connect_mongo
from infra.local.processes import LeashedProcess, Stopping, free_port, stop_all, wait_until_ready
from infra.local.servers import ServerUrls
from infra.prepare import Settings, prepare
from infra.rabbitmq.topology import ARGUMENTS, QUEUES

HOSTED = {
    "auth": ("AuthFunction", "AuthorizerFunction"),
    "upload": ("UploadFunction",),
    "download": ("DownloadFunction",),
    "page": ("PageFunction",),
}
# What a process must do without: the gateway and the triggers have to work for strangers, and need no key to accounts.
WITHHELD = {"gateway": {"JWT_KEYS", "LINK_KEYS"}, "triggers": {"JWT_KEYS", "POSTGRES_URL"}}
DRAIN_S = "5"


@dataclass
class HostsStack:
    """A gateway, four hosts and the triggers. `processes` are by name: gateway, triggers, and the hosts' packages."""

    folder: Path
    urls: ServerUrls
    environ: Mapping[str, str]
    port: int
    host_ports: Mapping[str, int]
    processes: dict[str, LeashedProcess] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def outbox(self) -> Path:
        """The e-mails, as *.eml."""
        return self.folder / "outbox"

    def log(self, name: str) -> Path:
        """What a process printed."""
        return self.folder / f"{name}.log"

    def start(self, *names: str) -> None:
        """Start processes, and return when they serve."""
        for name in names:
            self._spawn(name)
        for name in names:
            wait_until_ready(
                self.processes[name],
                lambda name=name: self._serves(name),  # type: ignore[misc]
                timeout_s=60,
                advice="Look there.",
                stopping=Stopping(),
            )

    def _spawn(self, name: str) -> None:
        arguments, port = self._command(name)
        environ = {key: value for key, value in self.environ.items() if key not in WITHHELD.get(name, ())}
        self.processes[name] = LeashedProcess(
            name,
            [sys.executable, "-m", *arguments],
            environ={**environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"},
            log=self.log(name),
            grace_s=15,
        )

    def kill(self, name: str) -> None:
        """End a process at once."""
        self.processes[name].kill()

    def stop(self) -> None:
        """End all processes, the gateway first."""
        stop_all(self.processes.values())

    def _command(self, name: str) -> tuple[list[str], int]:
        if name in self.host_ports:
            return ["infra.host", name], self.host_ports[name]
        return [f"infra.{name}"], self.port

    def _serves(self, name: str) -> bool:
        if name == "triggers":
            log = self.log(name).read_text()
            return all(f'"queue":"{queue.name}"' in log for queue in QUEUES)
        port = self.host_ports.get(name, self.port)
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def running_hosts(folder: Path, servers: ServerUrls, environ: Mapping[str, str] | None = None) -> Iterator[HostsStack]:
    """Run a stack with databases of its own, and yield it when it serves.

    The queues are the servers' only ones, and are emptied. `environ` are more settings for all its processes.
    """
    with own_databases(servers) as urls:
        stack = _stack(folder, urls, environ or {})
        try:
            stack.start(*HOSTED, "triggers", "gateway")
            yield stack
        finally:
            stack.stop()


def _stack(folder: Path, urls: ServerUrls, environ: Mapping[str, str]) -> HostsStack:
    port, host_ports = free_port(), {package: free_port() for package in HOSTED}
    (folder / "outbox").mkdir(parents=True, exist_ok=True)
    endpoints = [
        f"{name}=http://127.0.0.1:{host_ports[package]}" for package, names in HOSTED.items() for name in names
    ]
    settings = {
        **os.environ,
        **urls.to_environ(),
        "JWT_KEYS": f"k1={secrets.token_hex(32)}",
        "LINK_KEYS": secrets.token_hex(32),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "OUTBOX_DIR": str(folder / "outbox"),
        "FUNCTION_ENDPOINTS": ",".join(endpoints),
        "LOG_FORMAT": "json",
        "DRAIN_S": DRAIN_S,
        **environ,
    }
    return HostsStack(folder, urls, settings, port, host_ports)


@contextlib.contextmanager
def own_databases(servers: ServerUrls) -> Iterator[ServerUrls]:
    """Prepare new databases on the servers, and empty the queues. The databases are dropped afterwards."""
    name = f"hosts_{secrets.token_hex(8)}"
    urls = ServerUrls(_with_database(servers.postgres, name), _with_database(servers.mongodb, name), servers.amqp)
    _on_postgres(servers, "CREATE DATABASE {}", name)
    try:
        prepare(Settings(urls.postgres, urls.mongodb, urls.amqp))
        _empty_queues(urls.amqp)
        yield urls
    finally:
        _on_postgres(servers, "DROP DATABASE {} WITH (FORCE)", name)
        with connect_mongo(urls.mongodb).client as client:
            client.drop_database(name)


def _empty_queues(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for queue in ARGUMENTS:
            connection.channel().queue_purge(queue)


def _on_postgres(servers: ServerUrls, statement: str, name: str) -> None:
    with psycopg.connect(servers.postgres, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
