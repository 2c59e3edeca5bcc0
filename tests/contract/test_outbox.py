"""What every implementation of Outbox does: the fake, and MongoDB's on a real server."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import pytest

from functions.shared.conversions import Conversions
from functions.shared.events import Event, EventName, NotPublished, Outbox, publish_owed
from functions.shared.logs import get_logger
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from tests.conversions import NOW, conversion, event
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeEvents, FakeOutbox

LOGGER = get_logger("tests")


@dataclass
class Stored:
    conversions: Conversions
    outbox: Outbox

    def owed(self, limit: int = 10) -> list[Event]:
        """Return what is owed, of each name up to `limit`."""
        return [event for name in EventName for event in self.outbox.owed(name, limit)]


@pytest.fixture(params=["fake", "mongo"])
def stored(request):
    if request.param == "fake":
        database = FakeDatabase()
        return Stored(FakeConversions(database), FakeOutbox(database))
    database = request.getfixturevalue("mongo")
    return Stored(MongoConversions(database), MongoOutbox(database))


def test_an_owed_event_comes_back_as_it_was(stored):
    """Its id is the message's id, by which a repeat is known."""
    owed = event(EventName.CONVERSION_FAILED)
    stored.conversions.add(conversion(), [owed])

    assert stored.owed(1) == [owed]


def test_the_oldest_conversion_comes_first(stored):
    """Under a backlog nobody starves."""
    for seconds, conversion_id in ((2, "c2"), (3, "c3"), (1, "c1")):
        changed = conversion(conversion_id, updated_at=NOW + timedelta(seconds=seconds))
        stored.conversions.add(changed, [event(conversion_id=conversion_id)])

    assert [owed.conversion_id for owed in stored.owed()] == ["c1", "c2", "c3"]


@pytest.mark.parametrize(("limit", "expected"), [(1, ["c1"]), (3, ["c1", "c1", "c2"]), (100, ["c1", "c1", "c2", "c2"])])
def test_no_more_than_the_limit_are_returned(stored, limit, expected):
    """Events are counted, not conversions."""
    for number in (1, 2):
        owed = [event(conversion_id=f"c{number}"), event(conversion_id=f"c{number}")]
        stored.conversions.add(conversion(f"c{number}", updated_at=NOW + timedelta(seconds=number)), owed)

    assert [owed.conversion_id for owed in stored.owed(limit)] == expected


def test_events_of_one_name_do_not_use_up_the_limit_of_another(stored):
    """Thousands that no queue takes must not hide the one behind them that its queue waits for."""
    completed = [event(EventName.CONVERSION_COMPLETED, f"c{number}") for number in range(4)]
    for seconds, owed in enumerate(completed):
        changed = conversion(owed.conversion_id, updated_at=NOW + timedelta(seconds=seconds))
        stored.conversions.add(changed, [owed])
    uploaded = event(EventName.VIDEO_UPLOADED, "c9")
    both = [event(EventName.CONVERSION_FAILED, "c9"), uploaded]
    stored.conversions.add(conversion("c9", updated_at=NOW + timedelta(hours=1)), both)

    assert stored.outbox.owed(EventName.VIDEO_UPLOADED, 2) == [uploaded]
    assert stored.outbox.owed(EventName.CONVERSION_COMPLETED, 2) == completed[:2]


def test_a_published_event_is_owed_no_more_and_the_others_still_are(stored):
    first, second = event(), event()
    stored.conversions.add(conversion(), [first, second])

    stored.outbox.mark_published(first)

    assert stored.owed() == [second]


def test_marking_what_is_not_owed_does_nothing(stored):
    """Two sweeps at once may publish one event twice, and a conversion may be deleted meanwhile."""
    owed = event()
    stored.conversions.add(conversion(), [owed])

    for other in (event(), event(conversion_id="c2")):
        stored.outbox.mark_published(other)
    assert stored.owed() == [owed]
    stored.outbox.mark_published(owed)
    stored.outbox.mark_published(owed)
    assert stored.owed() == []


def test_what_the_broker_did_not_take_stays_owed(stored):
    """Published and marked one by one: none is lost, none is forgotten."""
    owed = [event(), event(), event()]
    stored.conversions.add(conversion(), owed)
    events = FakeEvents()

    events.down = True
    assert publish_owed(stored.owed(), events, stored.outbox, LOGGER) == 0
    assert stored.owed() == owed
    events.down = False
    assert publish_owed(stored.owed(2), events, stored.outbox, LOGGER) == 2
    assert events.published == owed[:2]
    assert stored.owed() == owed[2:]


def test_one_missing_queue_holds_up_only_its_own_events(stored):
    """With the queue of conversions gone, people must still get the e-mails about finished ones."""

    class OneQueue(FakeEvents):
        def publish(self, event):
            if event.event == EventName.VIDEO_UPLOADED:
                raise NotPublished("No queue takes it.")
            super().publish(event)

    stored.conversions.add(conversion("c1"), [event(EventName.VIDEO_UPLOADED, "c1")])
    stored.conversions.add(conversion("c2"), [event(EventName.CONVERSION_COMPLETED, "c2")])
    events = OneQueue()

    assert publish_owed(stored.owed(), events, stored.outbox, LOGGER) == 1
    assert [published.conversion_id for published in events.published] == ["c2"]
    assert [owed.conversion_id for owed in stored.owed()] == ["c1"]


def test_without_the_queue_in_which_events_wait_others_of_their_name_pass(stored):
    """A conversion that failed a moment ago must not hold up the videos that came after it."""

    class NoWaitQueue(FakeEvents):
        def publish(self, event):
            if event.not_before is not None:
                raise NotPublished("No queue takes it.")
            super().publish(event)

    waiting = msgspec.structs.replace(event(conversion_id="c1"), not_before=NOW + timedelta(minutes=1))
    stored.conversions.add(conversion("c1"), [waiting])
    later = NOW + timedelta(seconds=1)
    stored.conversions.add(conversion("c2", updated_at=later), [event(conversion_id="c2")])
    events = NoWaitQueue()

    assert publish_owed(stored.owed(), events, stored.outbox, LOGGER) == 1
    assert [published.conversion_id for published in events.published] == ["c2"]
    assert stored.owed() == [waiting]
