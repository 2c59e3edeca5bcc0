"""One question to each server, which it must answer to be of use."""

from collections.abc import Callable, Sequence

import pika.exceptions
import psycopg
import pymongo
from pymongo.database import Database

from functions.health.health import TIMEOUT_S, Check, Down
from functions.shared.mongo import Document
from functions.shared.rabbit import connect_rabbit


def postgres_check(url: str) -> Check:
    """Return a check that asks Postgres a question."""

    def check() -> None:
        with psycopg.connect(url, connect_timeout=int(TIMEOUT_S), autocommit=True) as connection:
            connection.execute("SELECT 1")

    return check


def mongodb_check(database: Callable[[], Database[Document]]) -> Check:
    """Return a check that pings MongoDB, over connections that are kept."""

    def check() -> None:
        with pymongo.timeout(TIMEOUT_S):
            database().client.admin.command("ping")

    return check


def rabbitmq_check(url: str, queues: Sequence[str]) -> Check:
    """Return a check that RabbitMQ has the queues."""

    def check() -> None:
        with connect_rabbit(url, timeout_s=TIMEOUT_S, name="video2mp3 health") as connection:
            channel = connection.channel()
            for queue in queues:
                try:
                    channel.queue_declare(queue, passive=True)
                except pika.exceptions.ChannelClosedByBroker as error:
                    raise Down(f"the queue {queue} is missing") from error

    return check
