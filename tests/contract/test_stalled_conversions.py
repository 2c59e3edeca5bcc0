"""StalledConversions: the same for the fake and for MongoDB."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from msgspec.structs import replace
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion, State
from functions.shared.events import Event, EventName
from functions.shared.mongo import Document, to_conversion, to_document, to_event
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.stalled import StalledConversions
from tests.conversions import conversion, event
from tests.fakes.shared import FakeDatabase, Record
from tests.fakes.sweep import FakeStalledConversions

FENCE = 7
LIMIT = 100
LATER = timedelta(minutes=15)
_numbers = itertools.count()


class Storage(Protocol):
    """Where conversions are kept, seen from behind."""

    @property
    def stalled(self) -> StalledConversions: ...

    def put(
        self,
        conversion: Conversion,
        owed: Sequence[Event] = (),
        leased_for: timedelta | None = None,
        announced_at: datetime | None = None,
    ) -> None:
        """Keep a conversion that was queued when it was updated last."""

    def worked_on(self, conversion_id: str, state: State) -> bool:
        """Let a conversion be in a state since just now, and return whether there is one."""

    def delete(self, conversion_id: str) -> None: ...

    def published(self, event: Event) -> None: ...

    def see(self, conversion_id: str) -> "Seen": ...


@dataclass
class Seen:
    """What is kept of a conversion."""

    conversion: Conversion
    owed: list[Event]
    fence: int
    leased: bool


@pytest.fixture(params=["fake", "mongo"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return FakeStorage() if request.param == "fake" else MongoStorage(request.getfixturevalue("mongo"))


def test_a_conversion_whose_worker_died_is_queued_again(storage):
    """Every accepted upload ends, also when the machine that converts it does not live to see it."""
    storage.put(converting(), leased_for=timedelta(seconds=-1))

    [owed] = storage.stalled.reclaim(LIMIT, announce)

    seen = storage.see("c1")
    assert seen.conversion.state is State.QUEUED
    assert not seen.leased
    assert seen.owed == [owed]
    assert (owed.event, owed.conversion_id) == (EventName.VIDEO_UPLOADED, "c1")
    assert seen.conversion.progress == 0
    assert seen.conversion.updated_at > utc_now() - timedelta(minutes=1)


def test_attempts_are_left_to_convert(storage):
    """It counts them when it claims, and gives up after three."""
    storage.put(converting(attempts=2), leased_for=timedelta(seconds=-1))

    storage.stalled.reclaim(LIMIT, announce)

    assert storage.see("c1").conversion.attempts == 2


def test_a_worker_that_was_only_slow_is_fenced_off(storage):
    """Its fencing number is no longer the newest, so what it commits now is refused."""
    storage.put(converting(), leased_for=timedelta(seconds=-1))

    storage.stalled.reclaim(LIMIT, announce)

    assert storage.see("c1").fence > FENCE


def test_events_that_were_owed_stay_owed(storage):
    """A reclaim adds to what is owed and takes nothing away."""
    earlier = event()
    storage.put(converting(), owed=[earlier], leased_for=timedelta(seconds=-1))

    [owed] = storage.stalled.reclaim(LIMIT, announce)

    assert storage.see("c1").owed == [earlier, owed]


def test_a_conversion_without_any_lease_is_reclaimed_too(storage):
    """Nobody holds it, so nobody would ever finish it."""
    storage.put(converting(), leased_for=None)

    assert len(storage.stalled.reclaim(LIMIT, announce)) == 1


def test_a_worker_that_lives_is_left_alone(storage):
    """Its lease has not ended."""
    storage.put(converting(), leased_for=timedelta(minutes=5))

    assert storage.stalled.reclaim(LIMIT, announce) == []
    assert storage.see("c1").conversion == converting()


@pytest.mark.parametrize("state", [State.QUEUED, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_only_what_is_converting_is_reclaimed(storage, state):
    """What has ended stays ended."""
    storage.put(conversion(state=state), leased_for=timedelta(seconds=-1))

    assert storage.stalled.reclaim(LIMIT, announce) == []


def test_a_queued_conversion_that_nobody_heard_of_is_announced_again(storage):
    """Its message may be among the dead letters, where nobody would ever take it up."""
    storage.put(conversion(updated_at=utc_now() - LATER))

    [owed] = storage.stalled.reannounce(LIMIT, announce, LATER)

    seen = storage.see("c1")
    assert seen.owed == [owed]
    assert (owed.event, owed.conversion_id) == (EventName.VIDEO_UPLOADED, "c1")
    assert (seen.conversion.state, seen.fence) == (State.QUEUED, FENCE)


def test_it_is_announced_again_only_after_a_while(storage):
    """It is probably just waiting for its turn."""
    storage.put(conversion(updated_at=utc_now() - LATER / 2))

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_announcing_it_again_begins_the_wait_anew(storage):
    """Otherwise every run would add a message."""
    storage.put(conversion(updated_at=utc_now() - LATER))
    [owed] = storage.stalled.reannounce(LIMIT, announce, LATER)

    storage.published(owed)

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_each_pause_is_as_long_as_all_before_it(storage):
    """While no worker runs, a message each quarter of an hour would only make the queue longer."""
    storage.put(conversion("c1", updated_at=utc_now() - 3.5 * LATER), announced_at=utc_now() - 1.5 * LATER)
    storage.put(conversion("c2", updated_at=utc_now() - 3.5 * LATER), announced_at=utc_now() - 2.5 * LATER)

    assert [owed.conversion_id for owed in storage.stalled.reannounce(LIMIT, announce, LATER)] == ["c2"]


def test_no_pause_is_longer_than_sixteen_times_the_first(storage):
    """A message that was lost in the second week of an outage must not wait for the fourth."""
    weeks = timedelta(weeks=2)
    storage.put(conversion("c1", updated_at=utc_now() - weeks), announced_at=utc_now() - 15 * LATER)
    storage.put(conversion("c2", updated_at=utc_now() - weeks), announced_at=utc_now() - 17 * LATER)

    assert [owed.conversion_id for owed in storage.stalled.reannounce(LIMIT, announce, LATER)] == ["c2"]


@pytest.mark.parametrize("state", [State.CONVERTING, State.COMPLETED, State.FAILED])
def test_while_the_queue_moves_only_what_it_has_passed_is_announced_again(storage, state):
    """The others are waiting for their turn, however long that takes."""
    storage.put(conversion("passed", updated_at=utc_now() - 5 * LATER))
    storage.put(conversion("waits", updated_at=utc_now() - 3 * LATER))
    taken = conversion("taken", updated_at=utc_now() - 4 * LATER)
    storage.put(taken)
    assert storage.worked_on("taken", state)

    assert [owed.conversion_id for owed in storage.stalled.reannounce(LIMIT, announce, LATER)] == ["passed"]


def test_what_was_announced_after_the_one_that_is_worked_on_is_not_announced_again(storage):
    """The repeat waits for its turn, too, at the end of the queue."""
    storage.put(conversion("c1", updated_at=utc_now() - 5 * LATER), announced_at=utc_now() - 2.6 * LATER)
    storage.put(conversion("taken", updated_at=utc_now() - 4 * LATER))
    assert storage.worked_on("taken", State.CONVERTING)

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_a_reclaimed_conversion_waits_at_the_end_of_the_queue(storage):
    """Its new message is behind all others, so their turn comes first."""
    storage.put(converting(updated_at=utc_now() - 5 * LATER), leased_for=timedelta(seconds=-1))
    [owed] = storage.stalled.reclaim(LIMIT, announce)
    storage.published(owed)

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_what_still_owes_its_message_is_not_announced_again(storage):
    """The relay brings that one; two would be one too many."""
    storage.put(conversion(updated_at=utc_now() - LATER), owed=[event()])

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


@pytest.mark.parametrize("state", [State.CONVERTING, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_only_what_is_queued_is_announced_again(storage, state):
    """A lease, or an end, says that somebody heard of it."""
    storage.put(conversion(state=state, updated_at=utc_now() - LATER), leased_for=timedelta(minutes=5))

    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_what_was_deleted_is_left_alone(storage):
    """Nothing brings it back."""
    storage.put(converting(), leased_for=timedelta(seconds=-1))
    storage.put(conversion("c2", updated_at=utc_now() - LATER))
    storage.delete("c1")
    storage.delete("c2")

    assert storage.stalled.reclaim(LIMIT, announce) == []
    assert storage.stalled.reannounce(LIMIT, announce, LATER) == []


def test_a_run_is_bounded_and_takes_the_oldest_first(storage):
    """After an outage there may be thousands, and a run has only so much time."""
    for number in (3, 1, 2):
        old = utc_now() - LATER * (5 - number)
        storage.put(converting(f"c{number}", updated_at=old), leased_for=timedelta(seconds=-1))
        storage.put(conversion(f"q{number}", updated_at=old))

    assert [owed.conversion_id for owed in storage.stalled.reclaim(2, announce)] == ["c1", "c2"]
    assert [owed.conversion_id for owed in storage.stalled.reannounce(2, announce, LATER)] == ["q1", "q2"]
    assert [owed.conversion_id for owed in storage.stalled.reclaim(2, announce)] == ["c3"]
    assert [owed.conversion_id for owed in storage.stalled.reannounce(2, announce, LATER)] == ["q3"]


def test_two_sweeps_at_once_reclaim_each_conversion_once(mongo):
    """A run that takes longer than its period overlaps the next."""
    storage = MongoStorage(mongo)
    for number in range(20):
        storage.put(converting(f"c{number}"), leased_for=timedelta(seconds=-1))

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: storage.stalled.reclaim(LIMIT, announce), range(4)))

    assert sorted(owed.conversion_id for run in runs for owed in run) == sorted(f"c{number}" for number in range(20))
    assert all(len(storage.see(f"c{number}").owed) == 1 for number in range(20))


def converting(conversion_id: str = "c1", **changes: Any) -> Conversion:
    return conversion(conversion_id, **{"state": State.CONVERTING, "progress": 0.4, "attempts": 1, **changes})


def announce(conversion_id: str) -> Event:
    # An id that MongoDB would read as the name of a field, if it were let.
    return Event(f"$e{next(_numbers)}", EventName.VIDEO_UPLOADED, conversion_id, utc_now())


class FakeStorage:
    def __init__(self) -> None:
        self._database = FakeDatabase()
        self.stalled = FakeStalledConversions(self._database, utc_now)

    def put(
        self,
        conversion: Conversion,
        owed: Sequence[Event] = (),
        leased_for: timedelta | None = None,
        announced_at: datetime | None = None,
    ) -> None:
        lease_until = None if leased_for is None else utc_now() + leased_for
        record = Record(conversion, list(owed), fence=FENCE, lease_until=lease_until)
        record.announced_at = announced_at or record.announced_at
        self._database.records[conversion.id] = record

    def worked_on(self, conversion_id: str, state: State) -> bool:
        record = self._database.records[conversion_id]
        record.conversion = replace(record.conversion, state=state, updated_at=utc_now())
        return True

    def delete(self, conversion_id: str) -> None:
        self._database.records[conversion_id].deleted = True

    def published(self, event: Event) -> None:
        self._database.records[event.conversion_id].owed.remove(event)

    def see(self, conversion_id: str) -> Seen:
        record = self._database.records[conversion_id]
        return Seen(record.conversion, record.owed, record.fence, record.lease_until is not None)


class MongoStorage:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions
        self.stalled = MongoStalledConversions(database)

    def put(
        self,
        conversion: Conversion,
        owed: Sequence[Event] = (),
        leased_for: timedelta | None = None,
        announced_at: datetime | None = None,
    ) -> None:
        lease = None if leased_for is None else {"holder": "w1", "expires_at": utc_now() + leased_for}
        announced = {"announced_at": announced_at} if announced_at else {}
        document = {**to_document(conversion, list(owed)), "fence": FENCE, "lease": lease, **announced}
        self._collection.insert_one(document)

    def worked_on(self, conversion_id: str, state: State) -> bool:
        change = [{"$set": {"state": state, "updated_at": "$$NOW"}}]
        return self._collection.update_one({"_id": conversion_id}, change).matched_count == 1

    def delete(self, conversion_id: str) -> None:
        self._collection.update_one({"_id": conversion_id}, {"$currentDate": {"deleted_at": True}})

    def published(self, event: Event) -> None:
        self._collection.update_one({"_id": event.conversion_id}, {"$pull": {"pending_events": {"id": event.id}}})

    def see(self, conversion_id: str) -> Seen:
        document = self._collection.find_one({"_id": conversion_id})
        assert document is not None
        owed = [to_event(event) for event in document["pending_events"]]
        return Seen(to_conversion(document), owed, document["fence"], document["lease"] is not None)
