"""sweep, called as EventBridge calls it every minute."""

import io
import itertools
import json
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aws_lambda_powertools import Logger

from functions.notify.notices import Outcome
from functions.shared.conversions import Conversion, State
from functions.shared.events import Event, EventName, NotPublished
from functions.shared.settings import InvalidSettings
from functions.sweep import app
from functions.sweep.sweep import (
    DISCARD_AFTER,
    LEFT_FOR,
    PURGE_AFTER,
    RELAY_AFTER,
    RELAY_AT_ONCE,
    RELAY_FOR,
    TELL_WITHIN,
    Deps,
    SweepFailed,
)
from tests.conversions import NOW, conversion, event
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.notify import FakeNotices
from tests.fakes.shared import FakeClock, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox, Record
from tests.fakes.sweep import (
    FakeAbandonedUploads,
    FakeExpiredConversions,
    FakeLeftovers,
    FakeStalledConversions,
    FakeTombstones,
    owner_of_mp3s,
)

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
SCHEDULED: dict[str, Any] = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-01-01T12:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"],
    "detail": {},
}
CONTEXT = SimpleNamespace(aws_request_id="request-1")
COMPLETED_LONG_AGO = msgspec.structs.replace(COMPLETED, id="c2", completed_at=NOW - TELL_WITHIN)
NOTHING = {
    "published": 0,
    "reclaimed": 0,
    "reannounced": 0,
    "renotified": 0,
    "expired": 0,
    "purged": 0,
    "discarded": 0,
    "leftover_videos": 0,
    "leftover_mp3s": 0,
}


@dataclass
class World:
    """What sweep works with, in memory."""

    database: FakeDatabase
    clock: FakeClock
    events: FakeEvents
    videos: FakeFiles
    mp3s: FakeFiles
    uploads: FakeAbandonedUploads
    leftover_mp3s: FakeLeftovers
    deps: Deps
    log: io.StringIO

    def holds(self, conversion: Conversion, *owed: Event, **record: Any) -> Record:
        kept = Record(conversion, list(owed), **record)
        self.database.records[conversion.id] = kept
        return kept

    def sweeps(self) -> dict[str, int]:
        return app.create_handler(lambda: self.deps)(SCHEDULED, CONTEXT)

    def logged(self, message: str, run: int = 0) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        found: list[dict[str, Any]] = [line for line in lines if line["message"] == message]
        return found[run]


@pytest.fixture
def world() -> World:
    database, clock, events, videos, mp3s = FakeDatabase(), FakeClock(NOW), FakeEvents(), FakeFiles(), FakeFiles()
    uploads = FakeAbandonedUploads(database, clock)
    leftover_mp3s = FakeLeftovers(mp3s, clock, owner_of_mp3s(database))
    ids = itertools.count(1)
    log = io.StringIO()
    deps = Deps(
        outbox=FakeOutbox(database),
        events=events,
        stalled=FakeStalledConversions(database, clock),
        tombstones=FakeTombstones(database, clock),
        abandoned=uploads,
        expired=FakeExpiredConversions(database, clock),
        leftover_videos=FakeLeftovers(videos, clock),
        leftover_mp3s=leftover_mp3s,
        videos=videos,
        mp3s=mp3s,
        reannounce_after=timedelta(minutes=15),
        clock=clock,
        new_id=lambda: f"new-{next(ids)}",
        # Loggers of the same name share where they write to.
        logger=Logger(service=f"sweep-{uuid.uuid4()}", stream=log),
    )
    return World(database, clock, events, videos, mp3s, uploads, leftover_mp3s, deps, log)


def test_a_quiet_minute_does_nothing_and_says_so(world):
    """The counts are what an alarm would look at."""
    world.holds(conversion())

    assert world.sweeps() == NOTHING

    line = world.logged("swept")
    assert {name: line[name] for name in NOTHING} == NOTHING
    assert line["request_id"] == "request-1"


def test_what_could_not_be_published_is_published_later(world):
    """The broker was down when the video was accepted, or upload died a moment too early."""
    record = world.holds(conversion(), owed())
    world.clock.advance(seconds=RELAY_AFTER.total_seconds())

    assert world.sweeps() == {**NOTHING, "published": 1}

    assert world.events.published == [owed()]
    assert record.owed == []
    assert world.sweeps() == NOTHING


def test_what_is_owed_since_just_now_is_left_to_whoever_owes_it(world):
    """It is being published right now, and twice would be once too many."""
    record = world.holds(conversion(), owed())
    world.clock.advance(seconds=1)

    assert world.sweeps() == NOTHING

    assert record.owed == [owed()]


def test_what_is_owed_by_a_clock_ahead_of_ours_does_not_wait_for_ours(world):
    """Clocks jump, and then an event may seem to come from the future. The video of it is there now."""
    world.holds(conversion(), owed())
    world.clock.advance(seconds=-300)

    assert world.sweeps() == {**NOTHING, "published": 1}


def test_while_the_broker_is_down_everything_stays_owed(world):
    """Nothing is lost; the next run tries again."""
    record = world.holds(conversion(), owed())
    world.clock.advance(minutes=1)
    world.events.down = True

    assert world.sweeps() == NOTHING

    assert record.owed == [owed()]
    world.events.down = False
    assert world.sweeps() == {**NOTHING, "published": 1}


def test_events_that_no_queue_takes_do_not_hold_up_the_others(world):
    """With one queue missing for long, new videos must still be converted."""
    for number in range(RELAY_AT_ONCE + 1):
        world.holds(conversion(f"c{number}"), event(EventName.CONVERSION_COMPLETED, f"c{number}"))
    uploaded = event(EventName.VIDEO_UPLOADED, "new")
    world.holds(conversion("new", updated_at=NOW + timedelta(seconds=1)), uploaded)
    world.clock.advance(minutes=1)
    world.deps = replace(world.deps, events=(events := NobodyIsTold()))

    assert world.sweeps() == {**NOTHING, "published": 1}

    assert events.published == [uploaded]


def test_a_long_outage_is_made_good_in_one_run(world):
    """An upload of the last hours must not wait for another minute with each hundred before it."""
    for number in range(3 * RELAY_AT_ONCE + 1):
        world.holds(conversion(f"c{number}"), event(EventName.VIDEO_UPLOADED, f"c{number}"))
    world.clock.advance(minutes=1)

    assert world.sweeps() == {**NOTHING, "published": 3 * RELAY_AT_ONCE + 1}

    assert len({published.id for published in world.events.published}) == 3 * RELAY_AT_ONCE + 1


def test_a_slow_broker_does_not_keep_a_run_from_its_end(world):
    """The other rules want their turn, and a Lambda function has a minute. The next run goes on."""
    for number in range(2 * RELAY_AT_ONCE):
        world.holds(conversion(f"c{number}"), event(EventName.VIDEO_UPLOADED, f"c{number}"))
    world.clock.advance(minutes=1)
    world.deps = replace(world.deps, events=SlowEvents(world.clock, RELAY_FOR / 10))

    assert world.sweeps() == {**NOTHING, "published": 10}
    assert world.sweeps() == {**NOTHING, "published": 10}


def test_a_conversion_whose_worker_died_is_announced_at_once(world):
    """Its owner has waited for the lease already, and should not wait for another run."""
    record = world.holds(conversion(state=State.CONVERTING, attempts=1), lease_until=NOW - timedelta(seconds=1))

    assert world.sweeps() == {**NOTHING, "reclaimed": 1}

    assert world.events.published == [Event("new-1", EventName.VIDEO_UPLOADED, "c1", NOW)]
    assert (record.conversion.state, record.conversion.attempts) == (State.QUEUED, 1)
    assert record.owed == []
    assert world.logged("reclaimed")["conversion_id"] == "c1"
    assert world.sweeps() == NOTHING


def test_a_reclaimed_conversion_owes_its_event_while_the_broker_is_down(world):
    """The reclaim is written; only the telling has to wait."""
    world.holds(conversion(state=State.CONVERTING), lease_until=NOW - timedelta(seconds=1))
    world.events.down = True
    assert world.sweeps() == {**NOTHING, "reclaimed": 1}

    world.events.down = False
    world.clock.advance(minutes=1)

    assert world.sweeps() == {**NOTHING, "published": 1}
    assert [event.conversion_id for event in world.events.published] == ["c1"]


def test_a_conversion_that_nobody_heard_of_is_announced_again(world):
    """Its message was dead-lettered, and its owner still waits."""
    world.holds(conversion())
    world.clock.advance(minutes=15)

    assert world.sweeps() == {**NOTHING, "reannounced": 1}

    assert [(event.event, event.conversion_id) for event in world.events.published] == [("video.uploaded", "c1")]
    assert world.logged("announced again")["conversion_id"] == "c1"
    assert world.sweeps() == NOTHING


def test_what_waits_for_a_worker_is_announced_again_after_pauses_that_grow(world):
    """A message may be lost at any time, but a queue of repeats helps nobody."""
    world.holds(conversion(updated_at=NOW))

    announced = []
    for minute in range(1, 24 * 60 + 1):
        world.clock.advance(minutes=1)
        if world.sweeps()["reannounced"]:
            announced.append(minute)

    # Each pause is as long as all before it, and four hours at most.
    assert announced == [15, 30, 60, 120, 240, 480, 720, 960, 1200, 1440]


def test_videos_that_wait_for_their_turn_are_not_announced_again(world):
    """The only worker takes five minutes for each, and one arrives each minute. The queue is long, and it moves."""
    queue = Queue(world)

    for minute in range(200):
        queue.arrives(f"c{minute:03}")
        queue.works(takes_minutes=5)
        world.clock.advance(minutes=1)
        world.sweeps()

    assert world.events.published == []
    assert (len(queue.done), len(queue.waiting)) == (39, 160)


def test_while_nothing_moves_few_messages_are_added(world):
    """No worker runs for three hours and twenty minutes. Nobody can tell then whether the messages are there."""
    for minute in range(200):
        world.holds(conversion(f"c{minute:03}", updated_at=world.clock()))
        world.clock.advance(minutes=1)
        world.sweeps()

    assert len(world.events.published) < 600


def test_a_lost_message_is_noticed_when_the_queue_has_passed_it(world):
    """RabbitMQ delivers in order, so whatever was queued later and is being converted came behind it."""
    queue = Queue(world)
    world.holds(conversion("lost", updated_at=world.clock()))

    while not world.events.published:
        queue.arrives(f"c{world.clock():%H%M}")
        queue.works(takes_minutes=1)
        world.clock.advance(minutes=1)
        world.sweeps()

    assert [event.conversion_id for event in world.events.published] == ["lost"]
    assert world.clock() == NOW + timedelta(minutes=15)


@pytest.mark.parametrize("ended", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_an_outcome_that_nobody_was_told_of_is_announced_again(world, ended):
    """A mail server was down for so long that the message was dead-lettered. Its owner still waits for the e-mail."""
    outcome = event(EventName(f"conversion.{ended.state}"))
    record = world.holds(ended, untold=outcome, owed_at=NOW)
    world.clock.advance(minutes=14)
    assert world.sweeps() == NOTHING
    world.clock.advance(minutes=1)

    assert world.sweeps() == {**NOTHING, "renotified": 1}

    assert world.events.published == [outcome]
    assert record.owed == []
    assert world.logged("outcome announced again")["event_id"] == outcome.id
    assert world.logged("swept", 1)["renotified"] == 1


def test_an_outcome_is_announced_again_and_again_until_it_is_told(world):
    """But not more often than all the others, and not when it is old news."""
    outcome = event(EventName.CONVERSION_COMPLETED)
    notices = FakeNotices(world.database, timedelta(minutes=2), world.clock, lambda: "claim-1")
    world.holds(COMPLETED, untold=outcome, owed_at=NOW)
    world.holds(COMPLETED_LONG_AGO, untold=event(EventName.CONVERSION_COMPLETED, "c2"), owed_at=NOW)

    announced = []
    for _ in range(30):
        world.clock.advance(minutes=1)
        announced.append(world.sweeps()["renotified"])
    assert announced == [*[0] * 14, 1, *[0] * 14, 1]
    assert world.events.published == [outcome, outcome]

    notices.claim(outcome)
    notices.settle(outcome, Outcome.SENT)
    world.clock.advance(minutes=15)
    assert world.sweeps() == NOTHING


def test_an_outcome_that_cannot_be_announced_again_stays_owed(world):
    """Then the relay brings it, like any other event."""
    outcome = event(EventName.CONVERSION_COMPLETED)
    record = world.holds(COMPLETED, untold=outcome, owed_at=NOW)
    world.clock.advance(minutes=15)
    world.events.down = True
    assert world.sweeps() == {**NOTHING, "renotified": 1}
    assert record.owed == [outcome]
    world.events.down = False

    assert world.sweeps() == {**NOTHING, "published": 1}

    assert world.events.published == [outcome]


def test_the_files_of_a_deleted_conversion_are_gone_in_the_end(world):
    """Whoever deletes a video trusts that it is deleted, also if a server died over it."""
    record = world.holds(conversion(), deleted=True, extra={"deleted_at": NOW})
    world.videos.put("c1", [b"video"])
    world.mp3s.put("c1-1", [b"a part, from a worker that died"])
    world.mp3s.put("c1-2", [b"mp3"])
    world.mp3s.put("c10-1", [b"another's"])
    world.clock.advance(seconds=PURGE_AFTER.total_seconds())

    assert world.sweeps() == {**NOTHING, "purged": 1}

    assert world.videos.contents == {}
    assert list(world.mp3s.contents) == ["c10-1"]
    assert record.extra["purged_at"] == world.clock()
    assert world.sweeps() == NOTHING


def test_files_of_what_was_not_deleted_are_never_touched(world):
    """A sweep that deletes too much cannot be undone."""
    world.holds(conversion(state=State.COMPLETED))
    world.videos.put("c1", [b"video"])
    world.mp3s.put("c1-1", [b"mp3"])
    world.clock.advance(days=365)

    assert world.sweeps() == NOTHING

    assert (list(world.videos.contents), list(world.mp3s.contents)) == (["c1"], ["c1-1"])


def test_a_purge_that_fails_is_begun_again(world):
    """A tombstone counts as purged only once the files are gone."""
    record = world.holds(conversion(), deleted=True, extra={"deleted_at": NOW})
    world.clock.advance(minutes=2)
    whole = world.deps
    world.deps = replace(whole, mp3s=BrokenFiles())
    with pytest.raises(SweepFailed):
        world.sweeps()
    assert "purged_at" not in record.extra

    world.deps = whole

    assert world.sweeps() == {**NOTHING, "purged": 1}


def test_an_upload_that_nobody_went_on_with_is_gone_in_the_end(world):
    """Its owner may be gone for good, and its bytes take room."""
    world.videos.put("u1", [b"half a video"])
    world.uploads.expires_at["u1"] = NOW
    world.clock.advance(seconds=DISCARD_AFTER.total_seconds())

    assert world.sweeps() == {**NOTHING, "discarded": 1}

    assert (world.videos.contents, world.uploads.expires_at) == ({}, {})
    assert world.logged("discarded")["upload_id"] == "u1"
    assert world.sweeps() == NOTHING


def test_an_upload_that_may_still_be_written_to_stays(world):
    """It expired a moment ago, but the last request has not ended."""
    world.videos.put("u1", [b"half a video"])
    world.uploads.expires_at["u1"] = NOW
    world.clock.advance(minutes=59)

    assert world.sweeps() == NOTHING

    assert list(world.videos.contents) == ["u1"]


def test_the_bytes_of_an_upload_that_became_a_video_stay(world):
    """They are the conversion's now. Of the upload nobody asks any more."""
    world.holds(conversion("u1", state=State.COMPLETED))
    world.videos.put("u1", [b"video"])
    world.uploads.expires_at["u1"] = NOW
    world.clock.advance(days=1)

    assert world.sweeps() == {**NOTHING, "discarded": 1}

    assert (list(world.videos.contents), world.uploads.expires_at) == (["u1"], {})


def test_an_upload_is_remembered_until_its_bytes_are_gone(world):
    """Otherwise nobody would ever find them again."""
    world.uploads.expires_at["u1"] = NOW
    world.clock.advance(days=1)
    whole = world.deps
    world.deps = replace(whole, videos=BrokenFiles())
    with pytest.raises(SweepFailed, match="discarded"):
        world.sweeps()
    assert world.uploads.expires_at == {"u1": NOW}

    world.deps = whole

    assert world.sweeps() == {**NOTHING, "discarded": 1}


def test_a_conversion_that_was_kept_long_enough_is_deleted(world):
    """Its owner was told when. Its files go with it, as if the owner had deleted it."""
    kept = world.holds(msgspec.structs.replace(COMPLETED, id="kept", expires_at=NOW + timedelta(days=2)))
    expired = world.holds(msgspec.structs.replace(COMPLETED, expires_at=NOW + timedelta(days=1)))
    world.holds(msgspec.structs.replace(COMPLETED, id="for-ever"))
    world.videos.put("c1", [b"video"])
    world.mp3s.put("c1-1", [b"mp3"])
    assert world.sweeps() == NOTHING
    world.clock.advance(days=1)

    assert world.sweeps() == {**NOTHING, "expired": 1}
    world.clock.advance(seconds=PURGE_AFTER.total_seconds())
    assert world.sweeps() == {**NOTHING, "purged": 1}

    assert (expired.deleted, expired.conversion.filename, kept.deleted) == (True, "", False)
    assert (world.videos.contents, world.mp3s.contents) == ({}, {})
    assert world.logged("expired")["conversion_id"] == "c1"


def test_what_nothing_owns_is_found_and_told_in_the_log(world):
    """A worker that had lost its claim stored its MP3 and died. Somebody has to see that such things happen."""
    world.mp3s.put("c1-1", [b"mp3"])
    world.leftover_mp3s.stored_at["c1-1"] = NOW
    assert world.sweeps() == NOTHING
    world.clock.advance(seconds=LEFT_FOR.total_seconds())

    assert world.sweeps() == {**NOTHING, "leftover_mp3s": 1}

    line = world.logged("leftover")
    assert (line["bucket"], line["file_id"], line["level"]) == ("mp3s", "c1-1", "WARNING")


def test_a_rule_that_fails_does_not_stop_the_others(world):
    """One bad thing must not keep all else undone, and must not go unseen."""
    world.holds(conversion("c1"), owed())
    world.holds(conversion("c2"), deleted=True, extra={"deleted_at": NOW})
    world.clock.advance(minutes=2)
    world.deps = replace(world.deps, stalled=BrokenStalledConversions())

    with pytest.raises(SweepFailed, match="reannounced, reclaimed, renotified"):
        world.sweeps()

    assert world.events.published == [owed()]
    assert "purged_at" in world.database.records["c2"].extra
    assert (world.logged("swept")["published"], world.logged("swept")["purged"]) == (1, 1)
    assert "the storage is on fire" in world.log.getvalue()


def test_without_settings_the_first_call_says_which_is_missing(monkeypatch):
    """Importing the function must not fail; calling it must say what to do."""
    monkeypatch.setenv("MONGODB_URL", "mongodb://127.0.0.1:1")
    monkeypatch.delenv("AMQP_URL", raising=False)

    with pytest.raises(InvalidSettings, match="AMQP_URL is not set"):
        app.handler(SCHEDULED, CONTEXT)


def owed() -> Event:
    return Event("e1", EventName.VIDEO_UPLOADED, "c1", NOW)


class Queue:
    """The messages of conversions in their order, and one worker that takes them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._left = 0
        self.waiting: list[str] = []
        self.under_way = ""
        self.done: list[str] = []

    def arrives(self, conversion_id: str) -> None:
        self._world.holds(conversion(conversion_id, updated_at=self._world.clock()))
        self.waiting.append(conversion_id)

    def works(self, takes_minutes: int) -> None:
        """Let a minute of work be done."""
        if self._left == 0:
            if self.under_way:
                self._changes(State.COMPLETED)
                self.done.append(self.under_way)
            self.under_way = self.waiting.pop(0)
            self._left = takes_minutes
        self._left -= 1
        self._changes(State.CONVERTING)

    def _changes(self, state: State) -> None:
        record, now = self._world.database.records[self.under_way], self._world.clock()
        record.lease_until = now + timedelta(minutes=2) if state is State.CONVERTING else None
        record.conversion = msgspec.structs.replace(record.conversion, state=state, updated_at=now)


class BrokenFiles(FakeFiles):
    def ids(self, prefix: str) -> list[str]:
        raise OSError("the storage is on fire")

    def delete(self, file_id: str) -> None:
        raise OSError("the storage is on fire")


class BrokenStalledConversions:
    def reclaim(self, limit, announce):
        raise OSError("the storage is on fire")

    def reannounce(self, limit, announce, after):
        raise OSError("the storage is on fire")

    def renotify(self, limit, after, within):
        raise OSError("the storage is on fire")


class SlowEvents(FakeEvents):
    """The broker takes its time."""

    def __init__(self, clock: FakeClock, takes: timedelta) -> None:
        super().__init__()
        self._clock = clock
        self._takes = takes

    def publish(self, event: Event) -> None:
        self._clock.advance(seconds=self._takes.total_seconds())
        super().publish(event)


class NobodyIsTold(FakeEvents):
    """The queue of notifications is missing."""

    def publish(self, event: Event) -> None:
        if event.event is not EventName.VIDEO_UPLOADED:
            raise NotPublished("No queue takes it.")
        super().publish(event)
