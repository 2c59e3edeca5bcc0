"""One question to each server, which it must answer to be of use, and one about what is between them."""

from collections.abc import Callable, Sequence

import pika.exceptions
import psycopg
import pymongo
from pymongo import ASCENDING
from pymongo.database import Database

from functions.health.health import TIMEOUT_S, Check, Down
from functions.shared.events import EventName
from functions.shared.mongo import Document
from functions.shared.rabbit import INTERNAL_ERROR, connect_rabbit


def postgres_check(url: str) -> Check:
    """Return a check that asks Postgres a question."""

    def check() -> None:
        with psycopg.connect(
            url,
            connect_timeout=int(TIMEOUT_S),
            # Or the check would never end, nor begin anew, if the server went away without a word in between.
            tcp_user_timeout=int(TIMEOUT_S * 1000),
            keepalives_idle=int(TIMEOUT_S),
            keepalives_interval=1,
            keepalives_count=3,
            autocommit=True,
        ) as connection:
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
        try:
            with connect_rabbit(url, timeout_s=TIMEOUT_S, name="video2mp3 health") as connection:
                channel = connection.channel()
                for queue in queues:
                    try:
                        channel.queue_declare(queue, passive=True)
                    except pika.exceptions.ChannelClosedByBroker as error:
                        raise Down(f"the queue {queue} is missing") from error
        except pika.exceptions.ConnectionClosedByBroker as error:
            if error.reply_code == INTERNAL_ERROR:
                raise Down("RabbitMQ has an internal error; restart it if that lasts") from error
            raise

    return check


# Since when a conversion owes what it owes. An outcome that is told again is owed anew, and is the same event.
_OWED_SINCE = {"$max": [{"$min": "$pending_events.occurred_at"}, "$untold.owed_at"]}


def outbox_check(database: Callable[[], Database[Document]], owed_s: int) -> Check:
    """Return a check that no event has been owed for `owed_s` seconds.

    sweep sends what is owed every minute. So whatever keeps events from their queues is seen here, also what RabbitMQ
    does not tell those who ask: that a binding is gone, or that it takes no messages because its disk is full.
    """

    def check() -> None:
        with pymongo.timeout(TIMEOUT_S):
            owing = database().conversions.find_one(
                {
                    "pending_events.event": {"$in": [name.value for name in EventName]},
                    "$expr": {"$lte": [_OWED_SINCE, {"$subtract": ["$$NOW", owed_s * 1000]}]},
                },
                {"_id": False, "owed_ms": {"$subtract": ["$$NOW", _OWED_SINCE]}},
                sort=[("updated_at", ASCENDING)],
                hint="owing_event",
            )
        if owing is not None:
            raise Down(
                f"events have been owed for {owing['owed_ms'] // 1000} s; the log says why at `event stays owed`"
            )

    return check
