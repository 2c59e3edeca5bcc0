"""PostgreSQL, MongoDB and RabbitMQ on this machine, or the ones that the environment names."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from infra.local.mongodb import MongoDB
from infra.local.postgres import Postgres
from infra.local.processes import Interrupted, ServerFailed, Stopping, stop_all
from infra.local.rabbitmq import RabbitMQ
from infra.local.server import LocalServer

__all__ = ["LocalServers", "ServerFailed", "ServerUrls", "running_servers"]


class ServerUrls(NamedTuple):
    """Where the three servers are."""

    postgres: str
    mongodb: str
    amqp: str

    def to_environ(self) -> dict[str, str]:
        """Return the environment variables that tell functions."""
        return {"POSTGRES_URL": self.postgres, "MONGODB_URL": self.mongodb, "AMQP_URL": self.amqp}


class LocalServers:
    """The servers that are ours to run. One that `environ` names by POSTGRES_URL, MONGODB_URL or AMQP_URL is not."""

    def __init__(self, state_dir: Path, environ: Mapping[str, str]) -> None:
        kinds: dict[str, type[LocalServer]] = {"POSTGRES_URL": Postgres, "MONGODB_URL": MongoDB, "AMQP_URL": RabbitMQ}
        self._given = {variable: environ[variable] for variable in kinds if environ.get(variable)}
        self._ours = {
            variable: kind(state_dir.resolve()) for variable, kind in kinds.items() if variable not in self._given
        }

    @property
    def ours(self) -> Sequence[LocalServer]:
        """The servers that this object runs."""
        return list(self._ours.values())

    @property
    def urls(self) -> ServerUrls:
        """Where the servers are, once they have been started."""
        urls = {**self._given, **{variable: server.url for variable, server in self._ours.items()}}
        return ServerUrls(urls["POSTGRES_URL"], urls["MONGODB_URL"], urls["AMQP_URL"])

    def start(self, stopping: Stopping) -> None:
        """Start all of ours at the same time; if one fails, stop the others.

        Raises:
            ServerFailed: one cannot be started. The message says what to do.
            Interrupted: `stopping` was set.
        """
        if not self._ours:
            return
        given_up = Stopping(stopping)
        with ThreadPoolExecutor(len(self._ours), thread_name_prefix="start") as pool:
            starts = [pool.submit(server.start, given_up) for server in self.ours]
            try:
                wait(starts, return_when=FIRST_EXCEPTION)
            finally:
                if not all(start.done() and start.exception() is None for start in starts):
                    given_up.set()
        failures = [error for start in starts if (error := start.exception()) is not None]
        if failures:
            self.stop()
            raise next((error for error in failures if not isinstance(error, Interrupted)), failures[0])

    def stop(self) -> None:
        """Stop all of ours and return when they are gone."""
        stop_all(server.process for server in self.ours if server.process is not None)


@contextlib.contextmanager
def running_servers(state_dir: Path, environ: Mapping[str, str] = os.environ) -> Iterator[ServerUrls]:
    """Start the servers with their data under `state_dir`, yield where they are, and stop them.

    Data that is there from before is used again; ports change. Raises ServerFailed.
    """
    servers = LocalServers(state_dir, environ)
    try:
        servers.start(Stopping())
        yield servers.urls
    finally:
        servers.stop()
