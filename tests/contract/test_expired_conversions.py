"""Conversions that were kept long enough, the same for the fakes and for MongoDB."""

from datetime import timedelta
from typing import Any, Protocol

import pytest
from pymongo.database import Database

from functions.convert.claims import Claims
from functions.convert.mongo_claims import MongoClaims
from functions.download.library import Library
from functions.download.mongo_library import MongoLibrary
from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion, ConversionMissing, Conversions, State
from functions.shared.events import EventName
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.sweep.expired import ExpiredConversions
from functions.sweep.mongo_expired import MongoExpiredConversions
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.sweep.tombstones import Tombstones
from tests.conversions import conversion, event
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.convert import FakeClaims
from tests.fakes.download import FakeLibrary
from tests.fakes.shared import FakeConversions, FakeDatabase
from tests.fakes.sweep import FakeExpiredConversions, FakeTombstones

DAY = timedelta(days=1)
KEPT = timedelta(days=30)


class Storage(Protocol):
    """All that ends conversions, and looks for those whose time has come."""

    conversions: Conversions
    claims: Claims
    library: Library
    expired: ExpiredConversions
    tombstones: Tombstones


class FakeStorage(Storage):
    def __init__(self) -> None:
        database = FakeDatabase()
        self.conversions, self.library = FakeConversions(database), FakeLibrary(database)
        self.claims = FakeClaims(database, lease_s=60, retention=KEPT)
        self.expired, self.tombstones = FakeExpiredConversions(database, utc_now), FakeTombstones(database, utc_now)


class MongoStorage(Storage):
    def __init__(self, database: Database[Document]) -> None:
        self.conversions, self.library = MongoConversions(database), MongoLibrary(database)
        self.claims = MongoClaims(database, lease_s=60, retention=KEPT)
        self.expired, self.tombstones = MongoExpiredConversions(database), MongoTombstones(database)


@pytest.fixture(params=["fake", "mongo"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return FakeStorage() if request.param == "fake" else MongoStorage(request.getfixturevalue("mongo"))


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_the_end_of_a_conversion_says_until_when_it_is_kept(storage, end):
    """From that moment on its owner can see it, and the e-mail tells it."""
    storage.conversions.add(conversion(), [])
    claim = storage.claims.claim("c1", "w1")
    assert claim.conversion.expires_at is None

    if end == "complete":
        storage.claims.complete(claim, COMPLETED.mp3, COMPLETED.video, [], event(EventName.CONVERSION_COMPLETED))
    else:
        storage.claims.fail(claim, FAILED.error, event(EventName.CONVERSION_FAILED), FAILED.video)

    ended = storage.conversions.get("c1")
    assert ended.expires_at == ended.completed_at + KEPT
    assert storage.expired.delete(10) == []


def test_a_conversion_that_is_tried_again_expires_no_more(storage):
    """It is under way like a new one, and ends at another time."""
    storage.conversions.add(conversion(), [])
    storage.claims.fail(
        storage.claims.claim("c1", "w1"), FAILED.error, event(EventName.CONVERSION_FAILED), FAILED.video
    )

    assert storage.library.retry("c1", [], utc_now()).expires_at is None


@pytest.mark.parametrize("ended", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_what_has_expired_is_deleted_as_its_owner_would(storage, ended):
    """Nothing is kept of the person, and what finds the files of deleted conversions finds these."""
    storage.conversions.add(expiring(ended, -DAY), [event()])

    assert storage.expired.delete(10) == ["c1"]

    with pytest.raises(ConversionMissing):
        storage.conversions.get("c1")
    assert storage.tombstones.unpurged(10, timedelta()) == ["c1"]
    assert storage.expired.delete(10) == []


def test_what_has_not_expired_stays(storage):
    """A conversion under way never expires, nor does one that was told it would be kept for ever."""
    for one in (expiring(COMPLETED, DAY), conversion("c2"), conversion("c3", state=State.COMPLETED)):
        storage.conversions.add(one, [])

    assert storage.expired.delete(10) == []

    assert [storage.conversions.get(each).id for each in ("c1", "c2", "c3")] == ["c1", "c2", "c3"]


def test_a_run_takes_the_oldest_first_and_only_so_many(storage):
    """After a year in which sweep was off there may be thousands."""
    for number in (2, 3, 1):
        storage.conversions.add(expiring(COMPLETED, -DAY * (5 - number), id=f"c{number}"), [])

    assert storage.expired.delete(2) == ["c1", "c2"]
    assert storage.expired.delete(2) == ["c3"]


def expiring(ended: Conversion, after: timedelta, **changes: Any) -> Conversion:
    fields: dict[str, Any] = {name: getattr(ended, name) for name in ended.__struct_fields__}
    return Conversion(**{**fields, "expires_at": utc_now() + after, **changes})
