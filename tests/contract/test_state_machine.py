"""The life of a conversion as docs/state-machine.md tells it, on the fakes and on MongoDB.

Hypothesis lets everybody who may change a conversion act in any order: workers that stall at any point and wake up
late, a broker that repeats and reorders, publishers that die before they note it, an owner who deletes and tries again,
sweep, and notify. After each step the document is compared with `Life`, which says in plain Python what must be there.
In the end the world calms down, and every life must have come to its end.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo import WriteConcern
from pymongo.read_concern import ReadConcern

from functions.convert.claims import Claim, ClaimLost, Claims, mp3_file_id
from functions.convert.mongo_claims import MongoClaims
from functions.download.library import Library, NotFailedState
from functions.download.mongo_library import MongoLibrary
from functions.notify.mongo_notices import MongoNotices
from functions.notify.notices import NoticeHeld, Notices, Outcome
from functions.shared.conversions import Conversion, ConversionMissing, Conversions, Failure, Mp3, State, Video
from functions.shared.events import Event, EventName, Outbox
from functions.shared.mongo import Document, to_conversion, to_event
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.sweep.expired import ExpiredConversions
from functions.sweep.mongo_expired import MongoExpiredConversions
from functions.sweep.mongo_leftovers import MongoLeftoverMp3s
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.sweep.stalled import StalledConversions
from functions.sweep.tombstones import Tombstones
from tests.conversions import conversion
from tests.fakes.convert import FakeClaims
from tests.fakes.download import FakeLibrary
from tests.fakes.notify import FakeNotices
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeFiles, FakeOutbox
from tests.fakes.sweep import (
    FakeExpiredConversions,
    FakeLeftovers,
    FakeStalledConversions,
    FakeTombstones,
    owner_of_mp3s,
)

MP3 = Mp3(bytes=10, sha256="00", duration_s=1.5, bit_rate_bps=64_000, sample_rate_hz=44_100, channels=2)
VIDEO = Video(bytes=70, sha256="11", duration_s=2.5)
FAILURE = Failure(type="no-audio-track", title="The video has no sound", detail="There is nothing to hear.")
RUNNING = {State.QUEUED, State.CONVERTING}
PAST = datetime(2026, 1, 1, tzinfo=UTC)
LONG_S = 600
LONG = timedelta(days=3)
NONE = timedelta()


@dataclass(frozen=True)
class Life:
    """What is written down of a conversion, with events by their ids. `untold` is the event of an end not told yet."""

    state: State = State.QUEUED
    attempts: int = 0
    fence: int = 0
    is_leased: bool = False
    owed: tuple[str, ...] = ()
    untold: str | None = None
    mp3_file_id: str | None = None
    has_mp3: bool = False
    has_error: bool = False
    has_ended: bool = False
    expires: bool = False
    is_deleted: bool = False


class World(Protocol):
    """All that changes conversions, on one kind of storage. Leases and claims of notices last for LONG_S."""

    conversions: Conversions
    outbox: Outbox
    claims: Claims
    library: Library
    stalled: StalledConversions
    tombstones: Tombstones
    expired: ExpiredConversions
    notices: Notices

    def life(self, conversion_id: str) -> Life: ...

    def conversion(self, conversion_id: str) -> Conversion: ...

    def owed(self, conversion_id: str) -> list[Event]: ...

    def end_lease(self, conversion_id: str) -> None: ...

    def end_notices(self, conversion_id: str) -> None: ...

    def end_retention(self, conversion_id: str) -> None: ...

    def clear_leftovers(self, mp3s: set[str]) -> list[str]: ...

    def clear(self) -> None: ...


class FakeWorld(World):
    def __init__(self) -> None:
        self._database = database = FakeDatabase()
        self.conversions, self.outbox = FakeConversions(database), FakeOutbox(database)
        self.claims, self.library = FakeClaims(database, lease_s=LONG_S), FakeLibrary(database)
        self.stalled, self.tombstones = FakeStalledConversions(database, _now), FakeTombstones(database, _now)
        self.expired = FakeExpiredConversions(database, _now)
        self.notices = FakeNotices(database, timedelta(seconds=LONG_S), _now, _new_id)

    def life(self, conversion_id: str) -> Life:
        record = self._database.records[conversion_id]
        return _life(
            record.conversion,
            fence=record.fence,
            is_leased=record.lease_until is not None,
            owed=tuple(event.id for event in record.owed),
            untold=record.untold.id if record.untold else None,
            mp3_file_id=record.mp3_file_id,
            is_deleted=record.deleted,
        )

    def conversion(self, conversion_id: str) -> Conversion:
        return self._database.records[conversion_id].conversion

    def owed(self, conversion_id: str) -> list[Event]:
        return list(self._database.records[conversion_id].owed)

    def end_lease(self, conversion_id: str) -> None:
        record = self._database.records[conversion_id]
        record.lease_until = PAST if record.lease_until else None

    def end_notices(self, conversion_id: str) -> None:
        for value in self._database.records[conversion_id].extra.values():
            if hasattr(value, "held_until"):
                value.held_until = PAST

    def end_retention(self, conversion_id: str) -> None:
        record = self._database.records[conversion_id]
        if record.conversion.expires_at:
            record.conversion = msgspec.structs.replace(record.conversion, expires_at=PAST)

    def clear_leftovers(self, mp3s: set[str]) -> list[str]:
        files = FakeFiles()
        for file_id in mp3s:
            files.put(file_id, [b"mp3"])
        return FakeLeftovers(files, _now, owner_of_mp3s(self._database)).clear(len(mp3s) + 1, NONE)

    def clear(self) -> None:
        self._database.records.clear()


class MongoWorld(World):
    """It does not wait for the journal: what is tested is what the writes say, not that they last."""

    def __init__(self, database: Any) -> None:
        database = database.with_options(read_concern=ReadConcern("local"), write_concern=WriteConcern(w=1, j=False))
        self._collection = database.conversions
        self.conversions, self.outbox = MongoConversions(database), MongoOutbox(database)
        self.claims, self.library = MongoClaims(database, lease_s=LONG_S), MongoLibrary(database)
        self.stalled, self.tombstones = MongoStalledConversions(database), MongoTombstones(database)
        self.expired = MongoExpiredConversions(database)
        self._mp3s, self._leftovers = database.mp3s, MongoLeftoverMp3s(database)
        self.notices = MongoNotices(database, timedelta(seconds=LONG_S), _new_id)

    def life(self, conversion_id: str) -> Life:
        document = self._document(conversion_id)
        return _life(
            to_conversion(document),
            fence=document["fence"],
            is_leased=document["lease"] is not None,
            owed=tuple(event["id"] for event in document["pending_events"]),
            untold=document["untold"]["event"]["id"] if "untold" in document else None,
            mp3_file_id=document.get("mp3_file_id"),
            is_deleted=document.get("deleted_at") is not None,
        )

    def conversion(self, conversion_id: str) -> Conversion:
        return to_conversion(self._document(conversion_id))

    def owed(self, conversion_id: str) -> list[Event]:
        return [to_event(event) for event in self._document(conversion_id)["pending_events"]]

    def end_lease(self, conversion_id: str) -> None:
        self._collection.update_one(
            {"_id": conversion_id, "lease": {"$ne": None}}, {"$set": {"lease.expires_at": PAST}}
        )

    def end_notices(self, conversion_id: str) -> None:
        held = {"_id": conversion_id, "notices": {"$exists": True}}
        self._collection.update_one(held, {"$set": {"notices.$[].held_until": PAST}})

    def end_retention(self, conversion_id: str) -> None:
        self._collection.update_one({"_id": conversion_id, "expires_at": {"$ne": None}}, {"$set": {"expires_at": PAST}})

    def clear_leftovers(self, mp3s: set[str]) -> list[str]:
        self._mp3s.files.delete_many({})
        for file_id in mp3s:
            self._mp3s.files.insert_one({"_id": file_id, "length": 0, "uploadDate": PAST})
        return self._leftovers.clear(len(mp3s) + 1, NONE)

    def clear(self) -> None:
        self._collection.delete_many({})

    def _document(self, conversion_id: str) -> Document:
        document: Document = self._collection.find_one({"_id": conversion_id})
        return document


def _life(conversion: Conversion, **more: Any) -> Life:
    return Life(
        state=conversion.state,
        attempts=conversion.attempts,
        has_mp3=conversion.mp3 is not None,
        has_error=conversion.error is not None,
        has_ended=conversion.completed_at is not None,
        expires=conversion.expires_at is not None,
        **more,
    )


@dataclass
class Letters:
    """What left for the owner: the events told of, and how often one may be told again as its teller died."""

    sent: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)


class Lives(RuleBasedStateMachine):
    """One conversion `c1`, and everybody around it."""

    claims = Bundle("claims")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.life = Life()
        self.lease_has_ended = False
        self.files: set[str] = set()
        self.given_back: set[int] = set()
        self.events: list[Event] = []
        self.letters = Letters()
        self.commits = 0

    # The beginning

    @initialize()
    def accept(self) -> None:
        uploaded = _event(EventName.VIDEO_UPLOADED)
        self.world.conversions.add(conversion("c1"), [uploaded])
        self._owe(uploaded)

    @rule()
    def accept_again(self) -> None:
        """The upload's last request came twice."""
        self.world.conversions.add(conversion("c1"), [_event(EventName.VIDEO_UPLOADED)])

    # The broker, and those who publish. What is owed may be delivered from that moment on, in any order, many times.

    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        """Somebody who published an event writes that down, perhaps long after."""
        self._mark(data.draw(st.sampled_from(self.events)))

    def _owe(self, *events: Event) -> None:
        self.events += events
        self.life = replace(self.life, owed=(*self.life.owed, *(event.id for event in events)))

    def _mark(self, event: Event) -> None:
        self.world.outbox.mark_published(event)
        self.life = replace(self.life, owed=tuple(each for each in self.life.owed if each != event.id))

    # Time

    @rule(of_notices=st.booleans())
    def let_time_pass(self, of_notices: bool) -> None:
        """Leases end, or the claims of those who died while they told somebody."""
        if of_notices:
            self.world.end_notices("c1")
        else:
            self.world.end_lease("c1")
            self.lease_has_ended = True

    # Workers. None ever forgets its claim, so each may act at any time later.

    @rule(target=claims, holder=st.sampled_from(["w1", "w2"]))
    def claim(self, holder: str) -> Any:
        """A message was delivered, or delivered again."""
        claim = self.world.claims.claim("c1", holder)
        is_free = not self.life.is_leased or self.lease_has_ended
        assert (claim is not None) is (self._is(*RUNNING) and is_free)
        if claim is None:
            return multiple()
        self.life = replace(
            self.life,
            state=State.CONVERTING,
            attempts=self.life.attempts + 1,
            fence=self.life.fence + 1,
            is_leased=True,
        )
        self.lease_has_ended = False
        assert (claim.fence, claim.attempt) == (self.life.fence, self.life.attempts)
        for earlier in range(1, claim.fence):
            self.files.discard(mp3_file_id("c1", earlier))
        return claim

    @rule(how=st.sampled_from(["complete", "fail", "release"]))
    @precondition(lambda self: self._is(State.QUEUED))
    def attempt(self, how: str) -> None:
        """All goes as it should, but for how it ends."""
        claim = self.claim("w1")
        assert isinstance(claim, Claim)
        if how == "complete":
            self.store_mp3(claim)
            self.complete(claim, dies=False)
        elif how == "fail":
            self.fail(claim, counts=True)
        else:
            self.release(claim, counts=True)

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        if self._write(claim, lambda: self.world.claims.renew(claim, 0.5)):
            self.lease_has_ended = False

    @rule(claim=claims)
    def store_mp3(self, claim: Claim) -> None:
        """Whoever has lost its claim does so, too, and may die before it sees that."""
        if claim.fence not in self.given_back:
            self.files.add(claim.mp3_file_id)

    @rule(claim=claims, dies=st.booleans())
    def complete(self, claim: Claim, dies: bool) -> None:
        if claim.mp3_file_id not in self.files or claim.fence in self.given_back:
            return
        completed = _event(EventName.CONVERSION_COMPLETED)
        if self._write(claim, lambda: self.world.claims.complete(claim, MP3, VIDEO, [], completed)):
            self.commits += 1
            self.given_back.add(claim.fence)
            self._end_claim(State.COMPLETED, completed, has_mp3=True, mp3_file_id=claim.mp3_file_id)
        elif not dies:
            self.files.discard(claim.mp3_file_id)

    @rule(claim=claims, counts=st.booleans())
    def fail(self, claim: Claim, counts: bool) -> None:
        """Whoever has stored an MP3 commits it, or dies. A claim after the last attempt is none."""
        if claim.mp3_file_id in self.files:
            return
        failed = _event(EventName.CONVERSION_FAILED)
        if self._write(
            claim, lambda: self.world.claims.fail(claim, FAILURE, failed, claim.conversion.video, counts=counts)
        ):
            self.given_back.add(claim.fence)
            self._end_claim(State.FAILED, failed, has_error=True, attempts=self.life.attempts - (not counts))

    @rule(claim=claims, counts=st.booleans())
    def release(self, claim: Claim, counts: bool) -> None:
        """An attempt failed that owes the next one; or the host stops, and the message itself comes back."""
        owed = [_event(EventName.VIDEO_UPLOADED)] if counts else []
        if self._write(claim, lambda: self.world.claims.release(claim, owed, counts=counts)):
            self.given_back.add(claim.fence)
            attempts = self.life.attempts - (not counts)
            self.life = replace(self.life, state=State.QUEUED, attempts=attempts, is_leased=False)
            self._owe(*owed)

    def _write(self, claim: Claim, write: Callable[[], None]) -> bool:
        """Let a worker write. It must be taken exactly as long as nobody else has claimed or ended the conversion."""
        holds = self._holds(claim)
        try:
            write()
        except ClaimLost:
            assert not holds
            return False
        assert holds
        return True

    def _holds(self, claim: Claim) -> bool:
        return self._is(State.CONVERTING) and self.life.fence == claim.fence

    def _end_claim(self, state: State, end: Event, **more: Any) -> None:
        self.life = replace(
            self.life, state=state, is_leased=False, untold=end.id, has_ended=True, expires=True, **more
        )
        self._owe(end)

    # Sweep

    @rule(what=st.sampled_from(["reclaim", "reannounce", "renotify", "expire", "purge"]))
    def sweep(self, what: str) -> None:
        getattr(self, what)()

    def reclaim(self) -> None:
        owed = self.world.stalled.reclaim(10, _announce)
        assert bool(owed) is (self._is(State.CONVERTING) and self.lease_has_ended)
        if owed:
            self.life = replace(self.life, state=State.QUEUED, fence=self.life.fence + 1, is_leased=False)
        self._owe(*owed)

    def reannounce(self) -> None:
        owed = self.world.stalled.reannounce(10, _announce, NONE)
        assert bool(owed) is (self._is(State.QUEUED) and not self.life.owed)
        self._owe(*owed)

    def renotify(self) -> None:
        owed = self.world.stalled.renotify(10, NONE, LONG)
        assert [event.id for event in owed] == ([self.life.untold] if self.life.untold and not self.life.owed else [])
        self._owe(*owed)

    def expire(self) -> None:
        """Before its time nothing happens."""
        assert self.world.expired.delete(10) == []

    @rule(dare=st.integers(0, 5))
    @precondition(lambda self: self.life.expires)
    def keep_long_enough(self, dare: int) -> None:
        """Sweep deletes what has ended, as its owner can."""
        if dare:
            return
        self.world.end_retention("c1")
        assert self.world.expired.delete(10) == ["c1"]
        self._become_tombstone()

    def purge(self) -> None:
        for conversion_id in self.world.tombstones.unpurged(10, NONE):
            assert self.life.is_deleted
            self.files.clear()
            self.world.tombstones.mark_purged(conversion_id)

    @rule()
    @precondition(lambda self: bool(self.files))
    def clear_leftovers(self) -> None:
        """As if no file needed a day to be left over: it must be right at any moment."""
        left = set(self.world.clear_leftovers(self.files))
        assert left <= self.files
        kept = self.files - left
        wanted = mp3_file_id("c1", self.life.fence) if self._is(State.CONVERTING) else self.life.mp3_file_id
        assert kept == (self.files & {wanted} if not self.life.is_deleted else set())
        self.files = kept

    # The owner

    @rule(dies=st.booleans(), dare=st.integers(0, 5))
    def delete(self, dies: bool, dare: int) -> None:
        if dare:
            # Little happens afterwards.
            return
        try:
            self.world.library.delete("c1", _now())
        except ConversionMissing:
            assert self.life.is_deleted
            return
        assert not self.life.is_deleted
        if not dies:
            self.files.clear()
        self._become_tombstone()

    def _become_tombstone(self) -> None:
        self.life = replace(
            self.life,
            state=State.CANCELLED if self.life.state in RUNNING else self.life.state,
            expires=False,
            is_leased=False,
            owed=(),
            untold=None,
            has_mp3=False,
            has_error=False,
            is_deleted=True,
        )

    @rule()
    def retry(self) -> None:
        again = _event(EventName.VIDEO_UPLOADED)
        try:
            self.world.library.retry("c1", [again], _now())
        except (NotFailedState, ConversionMissing):
            assert not self._is(State.FAILED)
            return
        assert self._is(State.FAILED)
        owed = tuple(each for each in self.life.owed if each != self.life.untold)
        self.life = replace(
            self.life,
            state=State.QUEUED,
            attempts=0,
            owed=owed,
            untold=None,
            has_error=False,
            has_ended=False,
            expires=False,
        )
        self._owe(again)

    # Notify

    @rule(data=st.data(), fate=st.sampled_from(["told", "not sent", "died before", "died after"]))
    @precondition(lambda self: self._ends())
    def tell(self, data: st.DataObject, fate: str) -> None:
        """A message was delivered, or delivered again, and its e-mail leaves, or does not, or nobody notes it."""
        self._tell(data.draw(st.sampled_from(self._ends())), fate)

    def _ends(self) -> list[Event]:
        return [event for event in self.events if event.event is not EventName.VIDEO_UPLOADED]

    def _tell(self, event: Event, fate: str) -> None:
        is_about = {EventName.CONVERSION_COMPLETED: State.COMPLETED, EventName.CONVERSION_FAILED: State.FAILED}
        if not self._is(is_about[event.event]):
            return
        try:
            claim = self.world.notices.claim(event)
        except NoticeHeld:
            return
        if claim is None:
            assert self.life.untold != event.id
            return
        assert self.life.untold == event.id, "somebody is told of what is told already, or not so any more"
        if fate in {"told", "died after"}:
            self.letters.sent.append(event.id)
        if fate == "died after":
            self.letters.deaths.append(event.id)
        elif fate == "told":
            self.world.notices.settle(event, Outcome.SENT)
            self.life = replace(self.life, untold=None)
        elif fate == "not sent":
            self.world.notices.release(event, claim)

    # What always holds

    @invariant()
    def what_is_written_down_is_what_was_done(self) -> None:
        """The write of each step changed exactly what docs/state-machine.md says, and it owes what it should."""
        assert self.world.life("c1") == self.life

    @invariant()
    def a_lease_and_a_running_conversion_go_together(self) -> None:
        assert self.life.is_leased is (self.life.state is State.CONVERTING)

    @invariant()
    def there_is_at_most_one_mp3_and_it_is_stored(self) -> None:
        assert self.commits <= 1
        assert self._is(State.COMPLETED) is self.life.has_mp3
        if self.life.has_mp3:
            assert self.life.mp3_file_id in self.files

    @invariant()
    def exactly_what_has_ended_expires(self) -> None:
        assert self.life.expires is self._is(State.COMPLETED, State.FAILED)

    @invariant()
    def completed_is_for_ever(self) -> None:
        assert not self.commits or self.life.state is State.COMPLETED

    @invariant()
    def nobody_is_told_twice_unless_a_teller_died(self) -> None:
        for event_id in set(self.letters.sent):
            assert self.letters.sent.count(event_id) <= 1 + self.letters.deaths.count(event_id)

    @invariant()
    def nothing_is_left_of_the_person_in_a_tombstone(self) -> None:
        if self.life.is_deleted:
            left = self.world.conversion("c1")
            assert (left.owner.id, left.owner.email, left.filename, left.video.bytes) == ("", "", "", 0)

    def _is(self, *states: State) -> bool:
        return not self.life.is_deleted and self.life.state in states

    # The end

    def teardown(self) -> None:
        """Whoever is left finishes its work; nobody new comes. Nothing may be lost, stuck, or not told."""
        for _ in range(3):
            self.let_time_pass(of_notices=False)
            self.reclaim()
            self.reannounce()
            self.renotify()
            for event in self.world.owed("c1"):
                self._mark(event)
            if isinstance(claim := self.claim("w3"), Claim):
                self.store_mp3(claim)
                self.complete(claim, dies=False)
            self.let_time_pass(of_notices=True)
            for event in self._ends():
                self._tell(event, "told")
            self.what_is_written_down_is_what_was_done()
        self.purge()
        self.clear_leftovers()
        assert self.life.state in {State.COMPLETED, State.FAILED, State.CANCELLED}
        assert (self.life.owed, self.life.untold, self.life.is_leased) == ((), None, False)
        assert self.files == ({self.life.mp3_file_id} if self.life.has_mp3 else set())
        self.world.clear()


@pytest.fixture(params=["fake", "mongo"])
def world(request: pytest.FixtureRequest) -> World:
    return FakeWorld() if request.param == "fake" else MongoWorld(request.getfixturevalue("mongo"))


def test_every_life_is_one_of_those_that_the_documents_tell(world: World):
    """Whatever dies in between, a video that was accepted comes to one end, with at most one MP3."""
    of_the_fake = isinstance(world, FakeWorld)

    class LivesHere(Lives):
        def __init__(self) -> None:
            world.clear()
            super().__init__(world)

    run_state_machine_as_test(
        LivesHere,
        settings=settings(
            # The same lives at every run: a test that fails by chance is of no use to those who change other things.
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=400 if of_the_fake else 60,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid.uuid4().hex


def _event(name: EventName) -> Event:
    return Event(_new_id(), name, "c1", _now())


def _announce(conversion_id: str) -> Event:
    assert conversion_id == "c1"
    return _event(EventName.VIDEO_UPLOADED)
