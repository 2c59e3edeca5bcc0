"""Get everything ready for the functions: python -m infra.prepare.

Checks that every function has the settings it needs, then brings tables, indexes and queues up to date. What is
there already is left alone, so it can run before each start, and in several places at once.
"""

import logging
import os
import sys

import msgspec
import pika.exceptions
import pymongo.errors
import sqlalchemy.exc

from functions.shared.mongo import connect_mongo
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, from_env
from infra.mongo.schema import ensure_indexes
from infra.postgres import migrate
from infra.rabbitmq.topology import TopologyConflict, declare
from infra.settings import check_settings
from infra.template import InvalidTemplate, load_template


class Settings(msgspec.Struct, frozen=True):
    """Where the servers are."""

    postgres_url: str
    mongodb_url: str
    amqp_url: str


class NotPrepared(Exception):
    """Raised when a server cannot be used. `advice` says what to do."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what
        self.advice = advice


def main() -> int:
    """Return the exit code."""
    # We say what it would say, and in fewer words.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        settings = from_env(Settings, os.environ)
        check_settings(load_template().functions.values(), os.environ)
        prepare(settings)
    except (InvalidSettings, InvalidTemplate, NotPrepared) as error:
        print(error, file=sys.stderr)
        return 1
    print("Tables, indexes and queues are up to date")
    return 0


def prepare(settings: Settings) -> None:
    """Bring tables, indexes and queues up to date. Raises NotPrepared."""
    _prepare_postgres(settings.postgres_url)
    _prepare_mongodb(settings.mongodb_url)
    _prepare_rabbitmq(settings.amqp_url)


def _prepare_postgres(url: str) -> None:
    try:
        migrate(url)
    except sqlalchemy.exc.ProgrammingError as error:
        # Its words could repeat the password that the URL holds.
        raise NotPrepared(
            "POSTGRES_URL cannot be used.", "Write it as postgresql://user:password@host/name."
        ) from error
    except sqlalchemy.exc.DBAPIError as error:
        raise NotPrepared(f"PostgreSQL cannot be used: {str(error.orig).strip()}", "Look at POSTGRES_URL.") from error


def _prepare_mongodb(url: str) -> None:
    try:
        database = connect_mongo(url)
        with database.client:
            ensure_indexes(database)
    except (pymongo.errors.ConfigurationError, ValueError) as error:
        raise NotPrepared("MONGODB_URL cannot be used.", "Write it as mongodb://user:password@host/name.") from error
    except Unavailable as error:
        raise NotPrepared(f"MongoDB cannot be found: {error.__cause__}", "Look at MONGODB_URL, and at DNS.") from error
    except pymongo.errors.PyMongoError as error:
        # After the reason it lists all that it knows of the servers.
        reason = str(error).partition(", Timeout: ")[0]
        raise NotPrepared(f"MongoDB cannot be used: {reason}", "Look at MONGODB_URL.") from error


def _prepare_rabbitmq(url: str) -> None:
    try:
        declare(url)
    except (ValueError, LookupError) as error:
        raise NotPrepared("AMQP_URL cannot be used.", "Write it as amqp://user:password@host/vhost.") from error
    except TopologyConflict as error:
        raise NotPrepared("The queues cannot be used.", str(error)) from error
    except (pika.exceptions.AMQPError, OSError) as error:
        raise NotPrepared(f"RabbitMQ cannot be used: {error!r}", "Look at AMQP_URL.") from error


if __name__ == "__main__":
    sys.exit(main())
