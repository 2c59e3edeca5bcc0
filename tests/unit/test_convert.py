"""The rule of convert, with fakes for all that it works with."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from functions.convert.app import create_handler
from functions.convert.convert import Deps, convert
from functions.convert.encoder import Progress
from functions.convert.failures import AttemptFailed, Interrupted, NoAudioTrack
from functions.convert.heartbeat import Deadline, Heartbeat
from functions.convert.pauses import Pauses
from functions.shared.conversions import MAX_TRACKS, Conversion, Method, Sent, Source, State, Video
from functions.shared.events import Event, EventName
from functions.shared.logs import get_logger
from functions.shared.options import Options, Quality
from functions.shared.problems import Unavailable
from functions.shared.rmq import MalformedMessage
from tests.conversions import VIDEO, conversion, event
from tests.fakes.convert import FRAMES, TAG, TRACK, FakeClaims, FakeEncoder
from tests.fakes.shared import FakeClock, FakeConversions, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox
from tests.rmq_events import rmq_event

LONG_S = 3600.0


class World:
    """All that convert touches, with one uploaded video `c1`."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.conversions = FakeConversions(self.database)
        self.videos, self.mp3s = FakeFiles(), FakeFiles()
        self.encoder, self.events = FakeEncoder(), FakeEvents()
        ids = iter(range(1000))
        self.deps = Deps(
            claims=FakeClaims(self.database, lease_s=30),
            videos=self.videos,
            mp3s=self.mp3s,
            encoder=self.encoder,
            events=self.events,
            outbox=FakeOutbox(self.database),
            clock=FakeClock(),
            new_id=lambda: f"event-{next(ids)}",
            logger=get_logger("convert"),
            holder="worker-1",
            lease_s=30,
            max_attempts=3,
            pauses=Pauses(first_s=10, uniform=lambda _least, most: most),
        )
        self.upload(conversion())

    def upload(self, uploaded: Conversion) -> None:
        self.videos.put(uploaded.id, [VIDEO])
        self.conversions.add(uploaded, [])

    def convert(self, uploaded: Event | None = None, remaining_s: Callable[[], float] = lambda: LONG_S) -> None:
        convert(uploaded or event(), self.deps, Deadline(remaining_s))

    @property
    def conversion(self) -> Conversion:
        return self.conversions.get("c1")

    @property
    def published(self) -> list[EventName]:
        return [published.event for published in self.events.published]


@pytest.fixture
def world() -> World:
    return World()


class Context:
    """The Lambda context, as far as convert looks at it."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 3_600_000


def test_the_function_can_be_called_with_a_message(world):
    """This is how a developer calls convert without any server: an aws:rmq event, a context, fakes."""
    handler = create_handler(lambda: world.deps)

    handler(rmq_event("video_conversion_queue", event()), Context())

    assert world.conversion.state == State.COMPLETED


def test_a_message_of_another_kind_is_none_for_convert(world):
    """A wrong binding must not start conversions of what is converted."""
    handler = create_handler(lambda: world.deps)

    with pytest.raises(MalformedMessage):
        handler(rmq_event("video_conversion_queue", event(EventName.CONVERSION_COMPLETED)), Context())

    assert world.encoder.calls == []


def test_an_uploaded_video_becomes_an_mp3(world):
    """The main job: stored with its tag before its frames, told with its facts, and announced."""
    world.convert()

    done = world.conversion
    assert done.state == State.COMPLETED
    assert done.progress == 1.0
    assert done.mp3 is not None
    assert (done.mp3.bytes, done.mp3.duration_s, done.mp3.channels) == (len(TAG + FRAMES), 2.0, 2)
    assert (done.mp3.method, done.mp3.track, done.mp3.source) == (Method.ENCODED, 1, Source("aac", 2, 44_100, "eng"))
    assert (done.mp3.loudness_lufs, done.mp3.true_peak_dbtp) == (-16.0, -1.5)
    assert (done.mp3.chapters, done.mp3.cover) == (3, True)
    assert [note.code for note in done.warnings] == ["sound-starts-late"]
    assert done.video.duration_s == 2.5
    assert done.video.tracks == (TRACK,)
    assert world.mp3s.contents == {"c1-1": TAG + FRAMES}
    assert world.database.records["c1"].mp3_file_id == "c1-1"
    assert world.published == [EventName.CONVERSION_COMPLETED]
    assert world.database.records["c1"].owed == []


def test_the_quality_asked_for_is_used(world):
    """A person who pays for space with 320 kbit/s wants 320 kbit/s."""
    world.upload(conversion("c2", options=Options(quality=Quality.CBR_320)))

    world.convert(event(conversion_id="c2"))

    assert [options.quality for options in world.encoder.calls] == [Quality.CBR_320]


def test_a_redelivered_message_is_converted_once(world):
    """RabbitMQ delivers at least once, so a repeat must do nothing."""
    message = event()

    world.convert(message)
    world.convert(message)

    assert len(world.encoder.calls) == 1
    assert world.published == [EventName.CONVERSION_COMPLETED]


def test_a_message_about_a_deleted_conversion_does_nothing(world):
    """A person may delete a conversion while its message waits."""
    world.database.records["c1"].deleted = True

    world.convert()

    assert world.encoder.calls == []


def test_a_lasting_failure_ends_the_conversion_at_once(world):
    """Trying again gives no video a soundtrack; the person should hear of it now."""

    def fail(_: Progress) -> None:
        raise NoAudioTrack

    world.encoder.then = fail

    world.convert()

    assert world.conversion.state == State.FAILED
    assert world.conversion.error is not None
    assert world.conversion.error.type == "no-audio-track"
    assert world.conversion.attempts == 1
    assert world.published == [EventName.CONVERSION_FAILED]
    assert world.mp3s.contents == {}


@pytest.mark.parametrize("error", [NoAudioTrack(), AttemptFailed("killed"), ValueError("unforeseen")])
def test_a_conversion_that_failed_lists_the_soundtracks_that_were_found(world, error):
    """A person who asked for one that the video does not have sees which it has."""

    def fail(_: Progress) -> None:
        raise error

    world.encoder.then = fail

    for _ in range(world.deps.max_attempts):
        world.convert()

    assert world.conversion.state == State.FAILED
    assert world.conversion.video.tracks == (TRACK,)


def test_a_conversion_lists_no_more_soundtracks_than_a_list_of_conversions_can_bear(world):
    """A file may have 64, each with a title of its own."""
    world.encoder.tracks = tuple(replace(TRACK, number=number) for number in range(1, 65))

    world.convert()

    assert [track.number for track in world.conversion.video.tracks] == [*range(1, MAX_TRACKS + 1)]


def test_how_a_video_was_sent_is_still_known_when_it_is_converted(world):
    """Convert writes down what it learned of the video beside what upload knew."""
    world.upload(replace(conversion("c2"), video=replace(conversion().video, original_bytes=10**9, sent=Sent.SOUND)))

    world.convert(event(conversion_id="c2"))

    video = world.conversions.get("c2").video
    assert (video.original_bytes, video.sent, video.tracks) == (10**9, Sent.SOUND, (TRACK,))


def test_a_passing_failure_is_tried_three_times_in_all(world):
    """A killed ffmpeg deserves another attempt, but not for ever."""

    def fail(_: Progress) -> None:
        raise AttemptFailed("ffmpeg was ended by signal 9")

    world.encoder.then = fail

    world.convert()
    assert world.conversion.state == State.QUEUED
    world.convert()
    world.convert()

    assert len(world.encoder.calls) == 3
    assert world.conversion.state == State.FAILED
    assert world.conversion.error is not None
    assert world.conversion.error.type == "attempts-exhausted"
    assert world.published == [EventName.VIDEO_UPLOADED, EventName.VIDEO_UPLOADED, EventName.CONVERSION_FAILED]


def test_the_next_attempt_comes_after_a_pause_that_grows(world):
    """What fails at once three times has used up its attempts before a short trouble is over."""

    def fail(_: Progress) -> None:
        raise AttemptFailed("no space left")

    world.encoder.then = fail

    for _ in range(3):
        world.convert()

    first, second, failed = world.events.published
    assert first.not_before == first.occurred_at + timedelta(seconds=10)
    assert second.not_before == second.occurred_at + timedelta(seconds=40)
    assert failed.not_before is None


def test_a_pause_outlives_an_outage_of_the_broker(world):
    """Sweep publishes what is owed, and must not begin the pause anew then."""

    def fail(_: Progress) -> None:
        raise AttemptFailed("no space left")

    world.encoder.then = fail
    world.events.down = True

    world.convert()

    [owed] = world.database.records["c1"].owed
    assert owed.not_before == owed.occurred_at + timedelta(seconds=10)


def test_an_unforeseen_error_counts_as_an_attempt(world):
    """A bug in our code must not make a message go round for ever."""

    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    world.encoder.then = fail
    for _ in range(3):
        world.convert()

    assert world.conversion.state == State.FAILED


def test_attempts_that_ended_with_their_worker_count_too(world):
    """A video that kills every worker must not kill a fourth. Nor may anything stay of what they made."""
    for _ in range(3):
        world.deps.claims.claim("c1", "a worker that dies")
        world.database.records["c1"].lease_until = None
    world.mp3s.put("c1-3", [b"an MP3"])

    world.convert()

    assert world.encoder.calls == []
    assert world.mp3s.contents == {}
    assert (world.conversion.state, world.conversion.attempts) == (State.FAILED, 3)


def test_a_later_success_counts(world):
    """The MP3 of the second attempt is as good as that of the first, and what the first left goes."""
    world.deps.claims.claim("c1", "a worker that dies")
    world.mp3s.put("c1-1", [b"half an MP3"])
    world.database.records["c1"].lease_until = None

    world.convert()

    assert world.conversion.state == State.COMPLETED
    assert list(world.mp3s.contents) == ["c1-2"]


def test_a_damaged_video_is_not_converted(world):
    """A wrong MP3 is worse than none."""
    world.videos.contents["c1"] = VIDEO.replace(b"v", b"w", 1)

    world.convert()

    assert world.conversion.error is not None
    assert world.conversion.error.type == "storage-corrupt"
    assert world.mp3s.contents == {}


def test_a_video_of_another_size_than_was_taken_in_is_not_converted(world):
    """Each part may be right and the whole is not."""
    world.upload(conversion("c2", video=Video(bytes=len(VIDEO) + 1, sha256=None)))

    world.convert(event(conversion_id="c2"))

    error = world.conversions.get("c2").error
    assert error is not None
    assert error.type == "storage-corrupt"


def test_the_sha256_of_a_video_that_came_in_slices_is_kept(world):
    """Nobody has seen it whole before."""
    world.upload(conversion("c2", video=Video(bytes=len(VIDEO), sha256=None)))

    world.convert(event(conversion_id="c2"))

    assert world.conversions.get("c2").video.sha256 == hashlib.sha256(VIDEO).hexdigest()


def test_a_storage_that_is_down_while_the_video_is_read_is_nobodys_failure(world):
    """The message comes back, and another attempt will find the storage up again."""

    def down(*_: object) -> Iterator[bytes]:
        raise Unavailable("The storage")

    world.videos.read = down

    with pytest.raises(Unavailable):
        world.convert()

    assert world.conversion.state == State.CONVERTING
    assert world.mp3s.contents == {}


def test_a_video_that_is_gone_because_it_was_deleted_is_no_damage(world):
    """Deleting takes the video at once; the worker that was just fetching it has nothing to report."""
    read = world.videos.read

    def delete_then_read(*args):
        world.database.records["c1"].deleted = True
        world.videos.delete("c1")
        return read(*args)

    world.videos.read = delete_then_read

    world.convert()

    assert world.events.published == []


def test_a_worker_that_lost_its_claim_changes_nothing(world):
    """A stalled worker that wakes up must not overwrite what its successor did."""

    def lose_it(_: Progress) -> None:
        world.database.records["c1"].lease_until = None
        world.deps.claims.claim("c1", "its successor")

    world.encoder.then = lose_it

    world.convert()

    assert world.conversion.state == State.CONVERTING
    assert world.mp3s.contents == {}
    assert world.events.published == []


def test_a_conversion_that_was_deleted_meanwhile_leaves_no_mp3(world):
    """Deleted means gone, also when the encoder was just running."""

    def delete(_: Progress) -> None:
        world.database.records["c1"].deleted = True

    world.encoder.then = delete

    world.convert()

    assert world.mp3s.contents == {}
    assert world.events.published == []


def test_the_event_stays_owed_while_the_broker_is_down(world):
    """The MP3 is there; the e-mail comes when the broker is back."""
    world.events.down = True

    world.convert()

    assert world.conversion.state == State.COMPLETED
    assert [owed.event for owed in world.database.records["c1"].owed] == [EventName.CONVERSION_COMPLETED]


def test_a_host_that_stops_gets_the_conversion_back_uncounted(world, monkeypatch):
    """A deploy in mid-conversion is nobody's failure: the message comes back and the attempt is none."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    remaining = iter([LONG_S])
    world.encoder.then = lambda on_progress: on_progress(0.5)

    with pytest.raises(Interrupted):
        world.convert(remaining_s=lambda: next(remaining, 4.0))

    assert world.conversion.state == State.QUEUED
    assert world.conversion.attempts == 0
    assert world.mp3s.contents == {}


def test_a_host_that_stops_but_has_time_lets_the_conversion_end(world, monkeypatch):
    """The time to drain is there to be used."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    remaining = iter([LONG_S])
    world.encoder.then = lambda on_progress: on_progress(0.5)

    world.convert(remaining_s=lambda: next(remaining, 20.0))

    assert world.conversion.state == State.COMPLETED


def test_a_host_that_was_stopping_from_the_beginning_fails_no_conversion(world, monkeypatch):
    """A message may be taken in the moment of the signal; took-too-long would be for ever."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    world.encoder.then = lambda on_progress: on_progress(0.5)

    with pytest.raises(Interrupted):
        world.convert(remaining_s=lambda: 3.0)

    assert world.conversion.state == State.QUEUED


def test_a_conversion_ends_in_time_when_the_hosts_time_is_up(world, monkeypatch):
    """Lambda would kill the function without a word; the person gets one."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    passed = iter([0.0, 0.0])
    monkeypatch.setattr("functions.convert.heartbeat.time.monotonic", lambda: next(passed, 896.0))
    remaining = iter([900.0])
    world.encoder.then = lambda on_progress: on_progress(0.5)

    world.convert(remaining_s=lambda: next(remaining, 4.0))

    assert world.conversion.error is not None
    assert world.conversion.error.type == "took-too-long"


def test_progress_is_told_while_the_encoder_works(world, monkeypatch):
    """People look at the progress bar."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    seen = []

    def work(on_progress: Progress) -> None:
        on_progress(0.5)
        seen.append(world.conversion.progress)

    world.encoder.then = work

    world.convert()

    assert seen == [pytest.approx(0.485)]


def test_progress_never_goes_back(world, monkeypatch):
    """A video that cannot be streamed after all is begun anew, which is nothing for a progress bar."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    seen = []

    def work(on_progress: Progress) -> None:
        for done in (0.5, 0.1, 0.6):
            on_progress(done)
            seen.append(world.conversion.progress)

    world.encoder.then = work

    world.convert()

    assert seen == sorted(seen)
    assert seen[0] > 0.4


class ClaimsThatCannotBeRenewed(FakeClaims):
    def renew(self, claim, progress):
        raise Unavailable("The storage")


def test_a_short_outage_of_the_storage_does_not_stop_the_encoder(world, monkeypatch):
    """The lease outlives a short outage, so the work of many minutes need not be thrown away."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    claims = ClaimsThatCannotBeRenewed(world.database, lease_s=30)
    world.deps = dataclasses.replace(world.deps, claims=claims)
    world.encoder.then = lambda on_progress: on_progress(0.5)

    world.convert()

    assert world.conversion.state == State.COMPLETED


def test_an_outage_longer_than_the_lease_stops_the_encoder(world, monkeypatch):
    """After the lease another worker may convert; two at once is a waste."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0)
    claims = ClaimsThatCannotBeRenewed(world.database, lease_s=30)
    claim = claims.claim("c1", "worker-1")
    assert claim is not None
    heartbeat = Heartbeat(claims, claim, -1, Deadline(lambda: LONG_S), world.deps.logger)

    with pytest.raises(Unavailable):
        heartbeat.beat(0.5)
