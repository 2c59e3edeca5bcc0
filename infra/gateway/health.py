"""Whether the servers that functions need answer."""

import asyncio
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread
import pika
import pika.exceptions
import psycopg
import pymongo
from aws_lambda_powertools import Logger
from pymongo.database import Database

from functions.shared.mongo import Document

TIMEOUT_S = 2.0

Check = Callable[[], object]


class Down(Exception):
    """Raised by a check when a server answers but cannot be used. The message says why, for everyone to read."""


class Health:
    """All checks, by the name of the server. A check returns if the server is well, and raises if not."""

    def __init__(self, checks: Mapping[str, Check], logger: Logger, timeout_s: float = TIMEOUT_S) -> None:
        self._checks = checks
        self._logger = logger
        self._timeout_s = timeout_s
        self._looking: asyncio.Task[dict[str, str]] | None = None

    async def look(self) -> dict[str, str]:
        """Run every check at the same time and return `ok` or `down: <why>` for each.

        Whoever asks while somebody looks gets what that look finds: anybody may ask, and each look opens
        connections.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, str]:
        states = dict.fromkeys(self._checks, f"down: no answer within {self._timeout_s:g} s")
        # A limiter of its own: health is to be seen when every thread for functions is taken.
        limiter = anyio.CapacityLimiter(max(1, len(self._checks)))

        async def run(name: str, check: Check) -> None:
            with anyio.move_on_after(self._timeout_s):
                try:
                    await anyio.to_thread.run_sync(check, abandon_on_cancel=True, limiter=limiter)
                except Down as error:
                    states[name] = f"down: {error}"
                except Exception:
                    # What a driver says may hold addresses and names; it is for the log.
                    self._logger.warning("a server is down", extra={"server": name}, exc_info=True)
                    states[name] = "down: does not answer"
                else:
                    states[name] = "ok"

        async with anyio.create_task_group() as group:
            for name, check in self._checks.items():
                group.start_soon(run, name, check)
        return states


def postgres_check(url: str) -> Check:
    """Return a check that asks Postgres a question."""

    def check() -> None:
        with psycopg.connect(url, connect_timeout=int(TIMEOUT_S), autocommit=True) as connection:
            connection.execute("SELECT 1")

    return check


def mongodb_check(database: Callable[[], Database[Document]]) -> Check:
    """Return a check that pings MongoDB."""

    def check() -> None:
        with pymongo.timeout(TIMEOUT_S):
            database().client.admin.command("ping")

    return check


def rabbitmq_check(url: str, queues: tuple[str, ...]) -> Check:
    """Return a check that RabbitMQ has the queues."""
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = TIMEOUT_S
    parameters.connection_attempts = 1

    def check() -> None:
        connection = pika.BlockingConnection(parameters)
        try:
            for queue in queues:
                try:
                    connection.channel().queue_declare(queue, passive=True)
                except pika.exceptions.ChannelClosedByBroker as error:
                    raise Down(f"the queue {queue} is missing") from error
        finally:
            connection.close()

    return check
