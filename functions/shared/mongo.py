"""MongoDB: how functions connect, how a conversion is written down, and what its errors become."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
import pymongo.errors
from pymongo import MongoClient
from pymongo.database import Database

from functions.shared.conversions import Conversion
from functions.shared.events import Event
from functions.shared.problems import Unavailable

Document = dict[str, Any]
DEFAULT_DATABASE = "video2mp3"
# The longest that one operation takes, with its retries and with finding a server and a connection. A function behind
# API Gateway has 29 s, and after one operation that was given up it never tries more than one other.
OPERATION_MS = 10_000
# The longest that a connection takes to be made.
CONNECT_MS = 5_000


def connect_mongo(url: str) -> Database[Document]:
    """Return the database that `url` names (default video2mp3). Nothing is sent before the first use.

    Writes are acknowledged by a majority and journalled, reads see only such writes, and no operation takes
    longer than OPERATION_MS.

    Raises:
        pymongo.errors.ConfigurationError, ValueError: the URL cannot be used.
        Unavailable: it names its servers by DNS (mongodb+srv://), which does not answer.
    """
    try:
        client: MongoClient[Document] = MongoClient(
            url,
            tz_aware=True,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            retryWrites=True,
            timeoutMS=OPERATION_MS,
            connectTimeoutMS=CONNECT_MS,
            # These hold for the little that is no operation, as closing a cursor. For all else they would begin anew
            # with each retry.
            serverSelectionTimeoutMS=CONNECT_MS,
            socketTimeoutMS=CONNECT_MS,
            waitQueueTimeoutMS=CONNECT_MS,
            appname="video2mp3",
        )
    except pymongo.errors.ConfigurationError as error:
        if _is_outage_of_dns(error.__cause__):
            raise Unavailable("The storage") from error
        raise
    return client.get_default_database(DEFAULT_DATABASE)


def _is_outage_of_dns(error: BaseException | None) -> bool:
    # pymongo, too, imports it only for a URL that needs it.
    from dns.exception import Timeout  # noqa: PLC0415
    from dns.resolver import NoNameservers  # noqa: PLC0415

    return isinstance(error, Timeout | NoNameservers)


@contextlib.contextmanager
def mongo_errors() -> Iterator[None]:
    """Turn errors that a later try may not see into Unavailable, and keep their cause.

    A write that ended in Unavailable may have been done all the same, or be done yet. One that ended in another
    error was not done.
    """
    try:
        yield
    # Also: no server found, time-outs, fail-over; and a write that was done, but not by a majority.
    except (pymongo.errors.ConnectionFailure, pymongo.errors.WriteConcernError) as error:
        raise Unavailable("The storage") from error
    except pymongo.errors.OperationFailure as error:
        if error.has_error_label("RetryableWriteError") or error.timeout:
            raise Unavailable("The storage") from error
        raise


def to_document(conversion: Conversion, owed: list[Event]) -> Document:
    """Return the document of a new conversion.

    Beside the conversion's own fields it holds `pending_events`, the events owed; `fence`, a number that grows with
    every claim; and `lease`, the claim that holds it now. `queued_at` is when it last began to wait for a worker, and
    `announced_at` when the newest message about that came into the queue. Once it has ended it holds `untold`, until
    its owner was told: `{"event", "owed_at"}`, the event of its end and when that was last owed. `origin` is there if
    it was added once for it: see Conversions.add_once.
    """
    document = to_builtins(conversion)
    document["_id"] = document.pop("id")
    return {
        **document,
        "pending_events": [to_builtins(event) for event in owed],
        "fence": 0,
        "lease": None,
        "queued_at": conversion.updated_at,
        "announced_at": conversion.updated_at,
    }


def to_conversion(document: Mapping[str, Any]) -> Conversion:
    """Return the conversion that a document holds."""
    return msgspec.convert({**document, "id": document["_id"]}, Conversion)


def to_event(document: Mapping[str, Any]) -> Event:
    """Return an event from `pending_events`."""
    return msgspec.convert(document, Event)


def to_builtins(value: msgspec.Struct) -> Document:
    """Return a Struct as a document, with times kept as times."""
    document: Document = msgspec.to_builtins(value, builtin_types=(datetime,))
    return document
