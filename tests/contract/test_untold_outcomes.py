"""How an outcome is owed until somebody was told: the same for the fakes and for MongoDB.

Four ports work on one conversion here: convert commits its end, notify notes that its owner was told, sweep owes the
event again as long as that is not noted, and download may delete it or try it again in between.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from pymongo.database import Database

from functions.convert.claims import Claims
from functions.convert.mongo_claims import MongoClaims
from functions.download.library import Library
from functions.download.mongo_library import MongoLibrary
from functions.notify.mongo_notices import MongoNotices
from functions.notify.notices import Notices, Outcome
from functions.shared.clock import utc_now
from functions.shared.conversions import Conversions, Failure, Mp3
from functions.shared.events import Event, EventName, Outbox
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.stalled import StalledConversions
from tests.conversions import conversion, event
from tests.fakes.convert import FakeClaims
from tests.fakes.download import FakeLibrary
from tests.fakes.notify import FakeNotices
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeOutbox
from tests.fakes.sweep import FakeStalledConversions

AFTER, WITHIN = timedelta(minutes=15), timedelta(days=3)
LIMIT = 100
MP3 = Mp3(bytes=10, sha256="00", duration_s=1.5, bit_rate_bps=64_000, sample_rate_hz=44_100, channels=2)
FAILURE = Failure(type="no-audio-track", title="The video has no sound", detail="There is $nothing to hear.")
_ids = itertools.count()


@dataclass
class Storage:
    """One kind of storage, with a way to let time pass for a conversion that has ended."""

    conversions: Conversions
    claims: Claims
    outbox: Outbox
    library: Library
    notices: Notices
    # With claims that end at once, as if their holders had died two minutes ago.
    ended_notices: Notices
    stalled: StalledConversions
    age: Callable[[str, timedelta], None]

    def completes(self, conversion_id: str = "c1") -> Event:
        """Convert a new video, publish its event, and return that."""
        self.conversions.add(conversion(conversion_id), [])
        completed = outcome(EventName.CONVERSION_COMPLETED, conversion_id)
        claim = self.claims.claim(conversion_id, "w1")
        assert claim
        self.claims.complete(claim, MP3, claim.conversion.video, [], completed)
        self.outbox.mark_published(completed)
        return completed

    def fails(self, conversion_id: str = "c1") -> Event:
        """Fail to convert a video, publish its event, and return that."""
        failed = outcome(EventName.CONVERSION_FAILED, conversion_id)
        claim = self.claims.claim(conversion_id, "w1")
        assert claim
        self.claims.fail(claim, FAILURE, failed, claim.conversion.video)
        self.outbox.mark_published(failed)
        return failed

    def tells(self, event: Event, outcome: Outcome = Outcome.SENT) -> None:
        """Send the letter of an event."""
        assert self.notices.claim(event) is not None
        self.notices.settle(event, outcome)

    def renotifies(self, limit: int = LIMIT) -> list[Event]:
        return self.stalled.renotify(limit, AFTER, WITHIN)

    def owed(self) -> list[Event]:
        return [event for name in EventName for event in self.outbox.owed(name, LIMIT)]


@pytest.fixture(params=["fake", "mongo"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return _fake() if request.param == "fake" else _mongo(request.getfixturevalue("mongo"))


def test_an_outcome_that_nobody_was_told_of_is_owed_again(storage):
    """Its message may be among the dead letters, since the mail was down for longer than it was delivered."""
    completed = storage.completes()
    storage.age("c1", AFTER)
    before = storage.conversions.get("c1")

    # The same event, by whose id a person who was told after all is not told twice.
    assert storage.renotifies() == [completed]

    assert storage.owed() == [completed]
    assert storage.conversions.get("c1") == before


def test_a_failure_that_nobody_was_told_of_is_owed_again(storage):
    """Bad news is news."""
    storage.conversions.add(conversion(), [])
    failed = storage.fails()
    storage.age("c1", AFTER)

    assert storage.renotifies() == [failed]


def test_an_outcome_is_owed_again_only_after_a_while(storage):
    """The letter is probably being written."""
    storage.completes()
    storage.age("c1", AFTER - timedelta(minutes=1))

    assert storage.renotifies() == []


def test_an_outcome_is_owed_again_once_in_a_while(storage):
    """Else every run would add a message, as long as the mail is down."""
    completed = storage.completes()
    storage.age("c1", AFTER)
    storage.renotifies()
    storage.outbox.mark_published(completed)

    assert storage.renotifies() == []
    storage.age("c1", AFTER)
    assert storage.renotifies() == [completed]


def test_what_is_owed_still_is_not_owed_twice(storage):
    """The relay brings it."""
    completed = storage.completes()
    storage.age("c1", AFTER)
    storage.renotifies()
    storage.age("c1", AFTER)

    assert storage.renotifies() == []
    assert storage.owed() == [completed]


def test_an_old_outcome_is_let_go(storage):
    """Its link would be dead, and one day this has to end."""
    storage.completes()
    storage.age("c1", WITHIN + timedelta(minutes=1))

    assert storage.renotifies() == []


@pytest.mark.parametrize("how", Outcome)
def test_what_was_told_is_never_owed_again(storage, how):
    """Told is told; and an address that does not exist is not written to for days."""
    storage.tells(storage.completes(), how)
    storage.age("c1", AFTER)

    assert storage.renotifies() == []


def test_a_letter_that_did_not_leave_leaves_the_outcome_untold(storage):
    """Its notice is given back, and nothing was settled."""
    completed = storage.completes()
    claim = storage.notices.claim(completed)
    assert claim
    storage.notices.release(completed, claim)
    storage.age("c1", AFTER)

    assert storage.renotifies() == [completed]


def test_an_outcome_whose_teller_died_is_owed_again_as_soon_as_his_claim_has_ended(storage):
    """Its message is gone: it did not wait for the claim to end, for then those behind it would have waited, too."""
    completed = storage.completes()
    storage.age("c1", timedelta(minutes=3))
    storage.ended_notices.claim(completed)

    assert storage.renotifies() == [completed]
    storage.outbox.mark_published(completed)
    assert storage.renotifies() == [], "once for each death"


def test_an_outcome_that_somebody_is_telling_is_not_owed_again(storage):
    """Two minutes are long for a letter, but he may be at it."""
    completed = storage.completes()
    storage.age("c1", timedelta(minutes=3))
    storage.notices.claim(completed)

    assert storage.renotifies() == []


def test_telling_of_an_earlier_outcome_does_not_count_for_a_later_one(storage):
    """A conversion that failed, was tried again and failed again: a late letter about the first says nothing of it."""
    storage.conversions.add(conversion(), [])
    first = storage.fails()
    assert storage.notices.claim(first) is not None
    storage.library.retry("c1", [], utc_now())
    second = storage.fails()
    storage.notices.settle(first, Outcome.SENT)
    storage.age("c1", AFTER)

    assert storage.renotifies() == [second]


def test_of_a_failure_that_was_tried_again_nobody_is_told_later(storage):
    """Its message may come late, when the conversion has failed again: that would be the same letter twice."""
    storage.conversions.add(conversion(), [])
    first = outcome(EventName.CONVERSION_FAILED, "c1")
    claim = storage.claims.claim("c1", "w1")
    storage.claims.fail(claim, FAILURE, first, claim.conversion.video)
    storage.library.retry("c1", [], utc_now())
    second = storage.fails()

    assert storage.owed() == []
    assert storage.notices.claim(first) is None
    storage.tells(second)
    assert storage.notices.claim(first) is None


def test_what_was_told_before_it_was_tried_again_stays_told(storage):
    """There may be a repeat of its message yet."""
    storage.conversions.add(conversion(), [])
    first = storage.fails()
    storage.tells(first)
    storage.library.retry("c1", [], utc_now())

    assert storage.notices.claim(first) is None


def test_nobody_is_told_any_more_of_a_failure_that_is_tried_again(storage):
    """It is not true any more."""
    storage.conversions.add(conversion(), [])
    storage.fails()
    storage.library.retry("c1", [], utc_now())

    assert storage.stalled.renotify(LIMIT, -AFTER, WITHIN) == []
    storage.claims.claim("c1", "w1")
    assert storage.stalled.renotify(LIMIT, -AFTER, WITHIN) == []


def test_nobody_is_told_of_what_was_deleted(storage):
    """Not even that it was finished."""
    storage.completes()
    storage.age("c1", AFTER)
    storage.library.delete("c1", utc_now())

    assert storage.renotifies() == []
    assert storage.owed() == []


def test_a_run_is_bounded_and_takes_the_oldest_first(storage):
    """After an outage there may be thousands."""
    for number in (2, 3, 1):
        storage.completes(f"c{number}")
        storage.age(f"c{number}", AFTER * (5 - number))

    assert [owed.conversion_id for owed in storage.renotifies(2)] == ["c1", "c2"]
    assert [owed.conversion_id for owed in storage.renotifies(2)] == ["c3"]


def test_two_sweeps_at_once_owe_each_outcome_once(mongo):
    """A run that takes longer than its period overlaps the next."""
    storage = _mongo(mongo)
    completed = [storage.completes(f"c{number}") for number in range(20)]
    for owed in completed:
        storage.age(owed.conversion_id, AFTER)

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: storage.renotifies(), range(4)))

    assert {owed.id for run in runs for owed in run} == {owed.id for owed in completed}
    assert len(storage.owed()) == sum(len(run) for run in runs) == len(completed)


def outcome(name: EventName, conversion_id: str) -> Event:
    # An id that MongoDB would read as the name of a field, if it were let.
    return Event(f"$e{next(_ids)}", name, conversion_id, event().occurred_at)


def _fake() -> Storage:
    database = FakeDatabase()

    def age(conversion_id: str, by: timedelta) -> None:
        record = database.records[conversion_id]
        assert record.conversion.completed_at
        record.owed_at = record.owed_at and record.owed_at - by
        ended = msgspec.structs.replace(record.conversion, completed_at=record.conversion.completed_at - by)
        record.conversion = ended

    return Storage(
        conversions=FakeConversions(database),
        claims=FakeClaims(database, lease_s=60),
        outbox=FakeOutbox(database),
        library=FakeLibrary(database),
        notices=FakeNotices(database, timedelta(minutes=2), utc_now, lambda: f"claim-{next(_ids)}"),
        ended_notices=FakeNotices(database, timedelta(), utc_now, lambda: f"claim-{next(_ids)}"),
        # utc_now is cut to milliseconds, and so can be before what FakeClaims just noted.
        stalled=FakeStalledConversions(database, lambda: datetime.now(UTC)),
        age=age,
    )


def _mongo(database: Database[Document]) -> Storage:
    def age(conversion_id: str, by: timedelta) -> None:
        ms = int(by.total_seconds() * 1000)
        for name, known in {"completed_at": "completed_at", "untold.owed_at": "untold"}.items():
            database.conversions.update_one(
                {"_id": conversion_id, known: {"$exists": True}}, [{"$set": {name: {"$subtract": [f"${name}", ms]}}}]
            )

    return Storage(
        conversions=MongoConversions(database),
        claims=MongoClaims(database, lease_s=60),
        outbox=MongoOutbox(database),
        library=MongoLibrary(database),
        notices=MongoNotices(database, timedelta(minutes=2), lambda: f"claim-{next(_ids)}"),
        ended_notices=MongoNotices(database, timedelta(), lambda: f"claim-{next(_ids)}"),
        stalled=MongoStalledConversions(database),
        age=age,
    )
