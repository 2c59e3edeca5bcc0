"""What every implementation of Claims does: the fake, and MongoDB's on a real server."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import pytest
from msgspec.structs import replace

from functions.convert.claims import Claim, ClaimLost, Claims
from functions.convert.mongo_claims import MongoClaims
from functions.shared.clock import utc_now
from functions.shared.conversions import Conversions, Failure, Method, Mp3, Note, Source, State, Track, Video
from functions.shared.events import EventName, Outbox
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from tests.conversions import NOW, conversion, event
from tests.fakes.convert import FakeClaims
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeOutbox

LEASE_S = 0.2
MP3 = Mp3(
    bytes=10,
    sha256="00",
    duration_s=1.5,
    bit_rate_bps=64_000,
    sample_rate_hz=44_100,
    channels=2,
    method=Method.COPIED,
    track=2,
    loudness_lufs=-16.2,
    true_peak_dbtp=-1.0,
    chapters=3,
    cover=True,
    source=Source(codec="mp3", channels=2, sample_rate_hz=44_100, language="$deu"),
)
TRACKS = (
    Track(1, "aac", 6, 48_000, "eng", "$title.x", default=True, role="commentary", usable=True),
    Track(2, "mp3", None, None, None, None, default=False, role=None, usable=False),
)
VIDEO = Video(bytes=70, sha256="$11", duration_s=2.5, tracks=TRACKS)
WARNINGS = (Note("filled-gap", "0.5 s of $silence were filled in."), Note("other-track", "Track 1 is silent."))
FAILURE = Failure(type="no-audio-track", title="The video has no sound", detail="There is $nothing to hear.")


class Stored:
    """Claims and what is needed to look at their effect, on one kind of storage, with a conversion `c1`.

    Those of `claims` last for LEASE_S, those of `patient` longer than any test.
    """

    claims: Claims
    patient: Claims
    conversions: Conversions
    outbox: Outbox
    # Since when it waits for a worker, and when its newest message came into the queue.
    times: Callable[[], tuple[datetime, datetime]]

    def __init__(self, database: Any) -> None:
        if isinstance(database, FakeDatabase):
            self.conversions, self.outbox = FakeConversions(database), FakeOutbox(database)
            self.claims = FakeClaims(database, lease_s=LEASE_S)
            self.patient = FakeClaims(database, lease_s=60)
            self.times = lambda: (database.records["c1"].queued_at, database.records["c1"].announced_at)
        else:
            self.conversions, self.outbox = MongoConversions(database), MongoOutbox(database)
            self.claims = MongoClaims(database, lease_s=LEASE_S)
            self.patient = MongoClaims(database, lease_s=60)
            self.times = lambda: itemgetter("queued_at", "announced_at")(database.conversions.find_one("c1"))
        self.conversions.add(conversion(), [])


@pytest.fixture(params=["fake", "mongo"])
def stored(request):
    database = FakeDatabase() if request.param == "fake" else request.getfixturevalue("mongo")
    return Stored(database)


def test_a_claim_counts_the_attempt_and_has_a_fencing_number(stored):
    claim = stored.patient.claim("c1", "w1")

    assert (claim.attempt, claim.fence, claim.mp3_file_id) == (1, 1, "c1-1")
    assert stored.conversions.get("c1").state == State.CONVERTING


def test_what_is_held_cannot_be_claimed(stored):
    """Two workers on one video would waste a core."""
    stored.patient.claim("c1", "w1")

    assert stored.patient.claim("c1", "w2") is None


def test_only_one_of_many_gets_the_claim(stored):
    """Five deliveries of one message at once must give one MP3."""
    with ThreadPoolExecutor(5) as pool:
        claims = list(pool.map(lambda n: stored.patient.claim("c1", f"w{n}"), range(5)))

    assert sum(claim is not None for claim in claims) == 1


def test_what_does_not_exist_cannot_be_claimed(stored):
    assert stored.patient.claim("nothing", "w1") is None


def test_after_its_lease_a_conversion_can_be_claimed_again(stored):
    """A worker that died must not hold a conversion for ever."""
    stored.claims.claim("c1", "w1")

    claim = until_claimed(stored.claims, "w2")

    assert (claim.attempt, claim.fence) == (2, 2)


def test_a_renewed_claim_outlives_its_first_lease(stored):
    """A long video takes many leases."""
    claim = stored.claims.claim("c1", "w1")
    stored.patient.renew(claim, 0.25)

    time.sleep(LEASE_S * 2)

    assert stored.claims.claim("c1", "w2") is None
    assert stored.conversions.get("c1").progress == 0.25


def test_completing_commits_the_mp3_with_the_event(stored):
    """State, MP3, warnings and the event owed are one write, so nothing can die in between."""
    claim = stored.patient.claim("c1", "w1")
    completed = event(EventName.CONVERSION_COMPLETED)

    stored.patient.complete(claim, MP3, VIDEO, WARNINGS, completed)

    done = stored.conversions.get("c1")
    assert (done.state, done.progress, done.mp3, done.video) == (State.COMPLETED, 1.0, MP3, VIDEO)
    assert done.warnings == WARNINGS
    assert done.completed_at is not None
    assert stored.outbox.owed(completed.event, 10) == [completed]


@pytest.mark.parametrize(("counts", "attempts"), [(True, 1), (False, 0)])
def test_failing_tells_why_with_the_event(stored, counts, attempts):
    """And after how many attempts: one that was only claimed to be given up is none."""
    claim = stored.patient.claim("c1", "w1")
    failed = event(EventName.CONVERSION_FAILED)

    stored.patient.fail(claim, FAILURE, failed, VIDEO, counts=counts)

    done = stored.conversions.get("c1")
    assert done.video == VIDEO
    assert (done.state, done.error, done.mp3, done.attempts) == (State.FAILED, FAILURE, None, attempts)
    assert done.warnings == ()
    assert stored.outbox.owed(failed.event, 10) == [failed]


@pytest.mark.parametrize(("counts", "attempts"), [(True, 1), (False, 0)])
def test_a_released_conversion_is_queued_again(stored, counts, attempts):
    """An attempt that the host interrupted is none. The event owed keeps its pause, for whoever publishes it."""
    claim = stored.patient.claim("c1", "w1")
    again = replace(event(), not_before=NOW + timedelta(seconds=10))

    stored.patient.release(claim, [again], counts=counts)

    done = stored.conversions.get("c1")
    assert (done.state, done.attempts, done.progress) == (State.QUEUED, attempts, 0.0)
    assert stored.outbox.owed(again.event, 10) == [again]
    assert stored.patient.claim("c1", "w2") is not None


def test_what_was_tried_waits_again_and_its_message_comes_after_the_pause(stored):
    """From that sweep tells whether the message was lost."""
    claim = stored.patient.claim("c1", "w1")
    pause = timedelta(seconds=40)
    again = replace(event(), not_before=NOW + pause)

    stored.patient.release(claim, [again], counts=True)

    queued_at, announced_at = stored.times()
    assert utc_now() - queued_at < timedelta(seconds=30)
    assert abs(announced_at - queued_at - pause) < timedelta(seconds=1)


def test_what_was_interrupted_keeps_its_place(stored):
    """Its message goes back to where it was, before all that came later."""
    before = stored.times()
    claim = stored.patient.claim("c1", "w1")

    stored.patient.release(claim, [], counts=False)

    assert stored.times() == before


def test_what_has_ended_cannot_be_claimed(stored):
    """A redelivered message does nothing."""
    claim = stored.patient.claim("c1", "w1")
    stored.patient.complete(claim, MP3, VIDEO, [], event(EventName.CONVERSION_COMPLETED))

    assert stored.patient.claim("c1", "w2") is None


@pytest.mark.parametrize(
    "write",
    [
        lambda claims, stale: claims.renew(stale, 0.9),
        lambda claims, stale: claims.complete(stale, MP3, VIDEO, WARNINGS, event()),
        lambda claims, stale: claims.fail(stale, FAILURE, event(), stale.conversion.video),
        lambda claims, stale: claims.release(stale, [event()], counts=True),
    ],
    ids=["renew", "complete", "fail", "release"],
)
def test_a_worker_whose_claim_was_taken_over_can_write_nothing(stored, write):
    """The fencing number refuses a worker that stalled, woke up and believes it still holds the lease."""
    stale = stored.claims.claim("c1", "w1")
    until_claimed(stored.patient, "w1")

    with pytest.raises(ClaimLost):
        write(stored.claims, stale)

    assert stored.conversions.get("c1").state == State.CONVERTING
    assert stored.conversions.get("c1").progress == 0.0
    assert [stored.outbox.owed(name, 10) for name in EventName] == [[], [], []]


def until_claimed(claims: Claims, holder: str) -> Claim:
    """Claim the conversion as soon as its lease has ended, which on a busy machine may be seen late."""
    deadline = time.monotonic() + 30
    while (claim := claims.claim("c1", holder)) is None:
        assert time.monotonic() < deadline, "the lease does not end"
        time.sleep(0.02)
    return claim
