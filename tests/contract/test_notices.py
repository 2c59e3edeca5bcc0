"""Notices: the same for the fake and for MongoDB."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from functions.notify.mongo_notices import KEPT, MongoNotices
from functions.notify.notices import NoticeHeld, Notices, Outcome
from functions.shared.clock import utc_now
from functions.shared.conversions import ConversionMissing, Conversions
from functions.shared.events import Event, EventName
from functions.shared.mongo_conversions import MongoConversions
from tests.ended_conversions import COMPLETED
from tests.fakes.notify import FakeNotices
from tests.fakes.shared import FakeConversions, FakeDatabase

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=100)


@dataclass
class Storage:
    """Where notices are kept, and the conversion c1 that they are of."""

    conversions: Conversions
    delete: Callable[[str], None]
    notices: Callable[[timedelta], Notices]


@pytest.fixture(params=["fake", "mongo"])
def storage(request: pytest.FixtureRequest) -> Storage:
    storage = _fake() if request.param == "fake" else _mongo(request.getfixturevalue("mongo"))
    storage.conversions.add(COMPLETED, [])
    return storage


def test_an_event_is_claimed_told_and_never_claimed_again(storage):
    """RabbitMQ delivers at least once, but nobody wants the same e-mail twice."""
    notices = storage.notices(LONG)

    assert notices.claim(told()) is not None
    notices.settle(told(), Outcome.SENT)

    assert notices.claim(told()) is None


def test_an_undeliverable_letter_counts_as_told(storage):
    """An address that does not exist must not be written to for ever."""
    notices = storage.notices(LONG)
    notices.claim(told())

    notices.settle(told(), Outcome.UNDELIVERABLE)

    assert notices.claim(told()) is None


def test_what_another_has_claimed_is_refused(storage):
    """Two deliveries at once must not send two e-mails; the second has to come back to see how the first ended."""
    storage.notices(LONG).claim(told())

    with pytest.raises(NoticeHeld):
        storage.notices(LONG).claim(told())


def test_of_many_at_once_one_gets_the_claim(storage):
    """The claim is one atomic write, so it does not matter how close they come."""
    notices = storage.notices(LONG)

    def try_to_claim(_: int) -> bool:
        try:
            return notices.claim(told()) is not None
        except NoticeHeld:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_to_claim, range(8))) == 1


def test_a_claim_ends_by_itself(storage):
    """Whoever claimed it may be dead, and then somebody else has to send the e-mail."""
    notices = storage.notices(SHORT)
    first = notices.claim(told())

    second = until_claimed(notices)

    assert second != first


def test_a_released_claim_is_free_at_once(storage):
    """When the mail server was away for a moment, the next try must not wait for the lease."""
    notices = storage.notices(LONG)
    first = notices.claim(told())
    assert first

    notices.release(told(), first)

    assert notices.claim(told()) is not None


def test_a_claim_that_ended_releases_nothing(storage):
    """One that wakes up late must not free the claim of the one that took over."""
    first = storage.notices(SHORT).claim(told())
    assert first
    until_claimed(storage.notices(LONG))

    storage.notices(SHORT).release(told(), first)

    with pytest.raises(NoticeHeld):
        storage.notices(LONG).claim(told())


def test_what_was_told_stays_told_when_its_claim_is_released(storage):
    """Told is told."""
    notices = storage.notices(LONG)
    claim = notices.claim(told())
    assert claim
    notices.settle(told(), Outcome.SENT)

    notices.release(told(), claim)

    assert notices.claim(told()) is None


def test_each_event_is_told_by_itself(storage):
    """A conversion that failed and was tried again fails again, and that is news."""
    notices = storage.notices(LONG)
    notices.claim(told("e1"))
    notices.settle(told("e1"), Outcome.SENT)

    assert notices.claim(told("e2")) is not None
    assert notices.claim(told("e1")) is None


@pytest.mark.parametrize("event_id", ["$state", "$$NOW", "a.b", "$", "x" * 200])
def test_an_event_id_is_only_ever_a_string(storage, event_id):
    """Ids come from outside, and MongoDB reads dollars and dots as names of fields where they are let."""
    notices = storage.notices(LONG)

    assert notices.claim(told(event_id)) is not None
    notices.settle(told(event_id), Outcome.SENT)
    assert notices.claim(told(event_id)) is None


def test_nothing_is_claimed_of_a_conversion_that_is_gone(storage):
    """There is nothing to tell about it, and nowhere to note it."""
    storage.delete("c1")

    with pytest.raises(ConversionMissing):
        storage.notices(LONG).claim(told())
    with pytest.raises(ConversionMissing):
        storage.notices(LONG).claim(told(conversion_id="never-was"))


def test_noting_the_end_for_a_conversion_that_is_gone_does_nothing(storage):
    """It was deleted while the e-mail was on its way."""
    notices = storage.notices(LONG)

    notices.settle(told(conversion_id="never-was"), Outcome.SENT)
    notices.release(told(conversion_id="never-was"), "claim")

    with pytest.raises(ConversionMissing):
        notices.claim(told(conversion_id="never-was"))


def test_a_conversion_with_notices_reads_as_before(storage):
    """Notices are notify's own; the other functions read the same document."""
    notices = storage.notices(LONG)
    notices.claim(told())
    notices.settle(told(), Outcome.SENT)

    assert storage.conversions.get("c1") == COMPLETED


def test_a_document_keeps_only_the_newest_notices(mongo):
    """A document that grows with each retry would one day be too large to write."""
    storage = _mongo(mongo)
    storage.conversions.add(COMPLETED, [])
    notices = storage.notices(LONG)

    for number in range(KEPT + 5):
        notices.claim(told(f"e{number}"))
        notices.settle(told(f"e{number}"), Outcome.SENT)

    [document] = mongo.conversions.find()
    assert [notice["event_id"] for notice in document["notices"]] == [f"e{number}" for number in range(5, KEPT + 5)]


def told(event_id: str = "e1", conversion_id: str = "c1") -> Event:
    return Event(event_id, EventName.CONVERSION_COMPLETED, conversion_id, datetime(2026, 1, 1, 12, tzinfo=UTC))


def until_claimed(notices: Notices) -> str | None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return notices.claim(told())
        except NoticeHeld:
            assert time.monotonic() < deadline, "the claim does not end"
            time.sleep(0.02)


def _fake() -> Storage:
    database = FakeDatabase()
    ids = itertools.count()

    def delete(conversion_id: str) -> None:
        database.records[conversion_id].deleted = True

    return Storage(
        FakeConversions(database),
        delete,
        lambda lease: FakeNotices(database, lease, utc_now, lambda: f"claim-{next(ids)}"),
    )


def _mongo(database) -> Storage:
    ids = itertools.count()

    def delete(conversion_id: str) -> None:
        database.conversions.update_one({"_id": conversion_id}, {"$currentDate": {"deleted_at": True}})

    return Storage(
        MongoConversions(database),
        delete,
        lambda lease: MongoNotices(database, lease, lambda: f"claim-{next(ids)}"),
    )
