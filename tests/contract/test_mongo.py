"""How long functions wait for MongoDB, and what its errors become."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import dns.resolver
import pymongo.errors
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from functions.shared.files import CHUNK_BYTES, GridFSFiles
from functions.shared.logs import get_logger
from functions.shared.mongo import OPERATION_MS, Document, connect_mongo, mongo_errors
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.shared.problems import Unavailable
from functions.upload.accept import accept_video
from functions.upload.deps import Deps, Limits
from functions.upload.fields import Fields
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.keys import KeyClaim
from functions.upload.mongo_keys import MongoIdempotencyKeys
from functions.upload.mongo_uploads import MongoUploads
from tests.conversions import OWNER, VIDEO, conversion
from tests.fakes.shared import FakeClock, FakeDatabase, FakeEvents, FakeFiles
from tests.fakes.upload import FakeIdempotencyKeys, FakeUploads, FakeUsage
from tests.tcp_proxy import proxied

# What API Gateway gives a function, less what else it does.
LIMIT_S = 29 - 5


def test_a_mongodb_that_falls_silent_is_given_up_in_time(mongo, servers):
    """After 29 s API Gateway answers in place of the function, and its 504 does not say to try again.

    All ways in which functions wait are tried at once: those where an operation is tried again, and those where
    another operation follows one that was given up.
    """
    silent = threading.Event()
    with proxied(servers.mongodb) as (proxy, url):

        def silencing(part: bytes) -> Iterator[bytes]:
            proxy.freeze()
            silent.set()
            yield part

        client = connect_mongo(url).client
        database = client[mongo.name]
        conversions, files = MongoConversions(database), GridFSFiles(database, "mp3s")
        keys = MongoIdempotencyKeys(database)
        conversions.add(conversion(), [])
        # More than MongoDB sends at once, so that the rest has to be asked for.
        files.put("f1", [bytes(CHUNK_BYTES)] * 20)
        half_read, left = files.read("f1"), files.read("f1")
        assert isinstance(left, Generator)
        next(half_read)
        next(left)
        open_connections(database, 4)
        nobody = connect_mongo(url)
        deps = Deps(
            conversions=conversions,
            videos=FakeFiles(),
            uploads=MongoUploads(database),
            slices=GridFSSlices(database),
            usage=FakeUsage(FakeDatabase(), FakeUploads()),
            keys=FakeIdempotencyKeys(),
            limits=Limits(10**9, 10**9, timedelta(days=1)),
            events=FakeEvents(),
            outbox=MongoOutbox(database),
            clock=FakeClock(),
            new_id=lambda: "c3",
            logger=get_logger("tests"),
        )
        ways: dict[str, Callable[[], object]] = {
            "read": lambda: conversions.get("c1"),
            "write": lambda: conversions.add(conversion("c2"), []),
            "go on reading a file": lambda: list(half_read),
            "write, then look whether it was done": lambda: accept_video([VIDEO], "a.mp4", Fields(), OWNER, deps),
            "connect": nobody.conversions.find_one,
            "note that a key is free": lambda: keys.release(KeyClaim("k1", "t1", "o1")),
        }
        try:
            with ThreadPoolExecutor(len(ways) + 2) as pool:
                waits = {"write a file, then clean up": pool.submit(given_up, lambda: files.put("f2", silencing(b"x")))}
                assert silent.wait(10)
                waits |= {name: pool.submit(given_up, way) for name, way in ways.items()}
                waits["close a file"] = pool.submit(seconds, left.close)
            waited = {name: wait.result() for name, wait in waits.items()}
        finally:
            proxy.thaw()
            client.close()
            nobody.client.close()

    assert max(waited.values()) < LIMIT_S, waited
    # It comes last, when two operations may have been given up.
    assert waited["note that a key is free"] < LIMIT_S - 2 * OPERATION_MS / 1000, waited


def test_a_conversion_that_was_not_added_is_not_said_to_be_there(mongo, monkeypatch):
    """The one that had its origin was deleted at that moment, or is not to be seen yet. A later try sees what is so."""
    conversions = MongoConversions(mongo)
    conversions.add_once(conversion("c1"), [], "o1")
    with monkeypatch.context() as patch:
        patch.setattr(conversions, "added_for", lambda origin: None)

        with pytest.raises(Unavailable):
            conversions.add_once(conversion("c2"), [], "o1")

    assert conversions.add_once(conversion("c2"), [], "o1") == "c1"


def test_an_operation_that_takes_too_long_is_given_up(mongo, servers):
    """Also when the server is alive and only slow."""
    client: MongoClient[Document] = MongoClient(servers.mongodb, timeoutMS=200)
    mongo.conversions.insert_one({"_id": "c1"})

    with client, pytest.raises(Unavailable), mongo_errors():
        client[mongo.name].conversions.find_one({"$where": "sleep(5000) || true"})


@pytest.mark.parametrize(
    "error",
    [
        pymongo.errors.WriteConcernError("Not enough data-bearing nodes", 100),
        pymongo.errors.WTimeoutError("waiting for replication timed out", 64),
        pymongo.errors.NetworkTimeout("timed out"),
        pymongo.errors.ExecutionTimeout("operation exceeded time limit", 50),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_write_that_may_have_been_done_is_unavailable(error):
    """Whoever gets any other error may rely on it that nothing was written."""
    with pytest.raises(Unavailable) as raised, mongo_errors():
        raise error

    assert raised.value.__cause__ is error


def test_a_write_that_was_refused_is_not_unavailable(mongo):
    """Trying it again would not help."""
    mongo.conversions.insert_one({"_id": "c1"})

    with pytest.raises(pymongo.errors.DuplicateKeyError), mongo_errors():
        mongo.conversions.insert_one({"_id": "c1"})


@pytest.mark.parametrize(
    ("answered", "raised"),
    [
        (dns.resolver.LifetimeTimeout(timeout=5, errors=[]), Unavailable),  # type: ignore[no-untyped-call]
        (dns.resolver.NoNameservers(), Unavailable),  # type: ignore[no-untyped-call]
        (dns.resolver.NXDOMAIN(), pymongo.errors.ConfigurationError),  # type: ignore[no-untyped-call]
    ],
    ids=["nothing", "not now", "there is no such name"],
)
def test_dns_that_does_not_answer_is_an_outage_and_no_wrong_url(
    monkeypatch: pytest.MonkeyPatch, answered: Exception, raised: type[Exception]
):
    """A URL of mongodb+srv:// is looked up when the client is made: at a cold start, say."""

    def refuse(*_: object, **__: object) -> None:
        raise answered

    monkeypatch.setattr(dns.resolver, "resolve", refuse)

    with pytest.raises(raised):
        connect_mongo("mongodb+srv://db.example.org/v")


def open_connections(database: Database[Document], count: int) -> None:
    """Leave so many connections behind for the next operations; where they are too few, others are opened."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda _: database.conversions.find_one({"$where": "sleep(300) || true"}), range(count)))


def given_up(way: Callable[[], object]) -> float:
    """Return how many seconds went by until it was known that the storage does not answer."""

    def fails() -> None:
        with pytest.raises((Unavailable, pymongo.errors.PyMongoError)):
            way()

    return seconds(fails)


def seconds(way: Callable[[], object]) -> float:
    began = time.monotonic()
    way()
    return time.monotonic() - began
