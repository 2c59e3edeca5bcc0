"""What every implementation of Conversions does: the fake, and MongoDB's on a real server."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import asdict

from functions.shared.conversions import (
    ConversionMissing,
    Conversions,
    Failure,
    Method,
    Mp3,
    Note,
    Source,
    State,
    Track,
    Video,
)
from functions.shared.events import EventName, Outbox
from functions.shared.mongo import to_document
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.shared.options import Channels, Chapters, Damaged, Options, Quality, Tracks
from tests.conversions import NOW, conversion, event
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeOutbox


@dataclass
class Stored:
    conversions: Conversions
    outbox: Outbox


@pytest.fixture(params=["fake", "mongo"])
def stored(request):
    if request.param == "fake":
        database = FakeDatabase()
        return Stored(FakeConversions(database), FakeOutbox(database))
    database = request.getfixturevalue("mongo")
    return Stored(MongoConversions(database), MongoOutbox(database))


EVERY_OPTION = Options(
    quality=Quality.CBR_320,
    preferred_language="de",
    track="2",
    tracks=Tracks.MIX,
    start=90.5,
    end=3600.0,
    loudness=-16.0,
    channels=Channels.MONO,
    sample_rate=44_100,
    damaged=Damaged.ACCEPT,
    cover="61.25",
    chapters=Chapters.NONE,
    title="$PRIVATE",
    artist="PRIVATE",
    album="PRIVATE",
    album_artist="PRIVATE",
    genre="PRIVATE",
    year="2014-11-08",
    track_number="3/12",
    comment="PRIVATE\n🎬",
)
FINISHED = conversion(
    "c1",
    state=State.COMPLETED,
    progress=1.0,
    filename="Grüße 🎬 'a\"b$c.d.mp4",
    options=EVERY_OPTION,
    video=Video(
        bytes=5 * 2**40,
        sha256="ab" * 32,
        duration_s=7200.25,
        tracks=(Track(1, "aac", 2, 48_000, "deu", "$PRIVATE.title", default=True, role="commentary", usable=True),),
    ),
    mp3=Mp3(
        bytes=3 * 2**31,
        sha256="cd" * 32,
        duration_s=7200.1,
        bit_rate_bps=320_000,
        sample_rate_hz=48_000,
        channels=2,
        method=Method.COPIED,
        track=1,
        loudness_lufs=-15.9,
        true_peak_dbtp=-1.2,
        chapters=12,
        cover=True,
        source=Source("mp3", None, None, "deu"),
    ),
    attempts=2,
    created_at=NOW + timedelta(milliseconds=1),
    updated_at=NOW + timedelta(milliseconds=999),
    completed_at=NOW + timedelta(days=1),
    expires_at=NOW + timedelta(days=30),
    warnings=(Note("filled-gap", "$PRIVATE: 0.5 s were filled."),),
)
FAILED = conversion("c1", state=State.FAILED, error=Failure(type="no-audio-track", title="No sound", detail="$x.y"))


@pytest.mark.parametrize("kept", [conversion("c1"), FINISHED, FAILED], ids=["new", "finished", "failed"])
def test_a_conversion_comes_back_as_it_was_added(stored, kept):
    """Every field and its type: terabytes, milliseconds with their zone, names that a database may find odd."""
    stored.conversions.add(kept, [])

    assert stored.conversions.get("c1") == kept


def test_every_option_is_among_those_that_come_back():
    """The test above would not miss one that it does not set."""
    assert all(value != getattr(Options(), name) for name, value in asdict(EVERY_OPTION).items())


def test_a_conversion_of_an_earlier_version_is_read(mongo):
    """It knows nothing of soundtracks, warnings and most options, and its MP3 was never measured."""
    document = to_document(FINISHED, [])
    document["options"] = {"quality": "v2"}
    del document["warnings"], document["video"]["tracks"]
    for name in ("method", "track", "loudness_lufs", "true_peak_dbtp", "chapters", "cover", "source"):
        del document["mp3"][name]
    mongo.conversions.insert_one(document)

    read = MongoConversions(mongo).get("c1")

    assert (read.options, read.warnings, read.video.tracks) == (Options(quality=Quality.V2), (), ())
    assert read.mp3 is not None
    assert (read.mp3.method, read.mp3.track, read.mp3.source) == (Method.ENCODED, None, None)


def test_options_that_were_not_chosen_are_not_stored(mongo):
    """Functions of the version before, which run beside this one during an upgrade, know only some of them."""
    MongoConversions(mongo).add(conversion("c1"), [])

    assert mongo.conversions.find_one("c1")["options"] == {}


def test_an_option_of_a_later_version_is_passed_over(mongo):
    """It is the other way round after a version was rolled back."""
    mongo.conversions.insert_one({**to_document(conversion("c1"), []), "options": {"quality": "v0", "speed": 2}})

    assert MongoConversions(mongo).get("c1").options == Options(quality=Quality.V0)


def test_a_tombstone_says_nothing_of_the_person_or_of_the_video(mongo):
    """Titles and comments are the person's own words, and soundtracks and warnings tell what was in the video."""
    conversions = MongoConversions(mongo)
    conversions.add(FINISHED, [])

    conversions.delete("c1", NOW)

    left = mongo.conversions.find_one("c1")
    assert "PRIVATE" not in repr(left)
    assert "deu" not in repr(left)
    assert (left["options"], left["warnings"], left["mp3"]) == ({}, [], None)
    assert left["video"] == {"bytes": 0, "sha256": "", "duration_s": None}


@pytest.mark.parametrize("conversion_id", ["c2", "", "C1", "c1 ", "c", "\x00"])
def test_what_was_not_added_is_missing(stored, conversion_id):
    stored.conversions.add(conversion("c1"), [])

    with pytest.raises(ConversionMissing):
        stored.conversions.get(conversion_id)


def test_a_conversion_is_added_with_the_events_it_owes(stored):
    """One write: there is no moment at which it is accepted and owes nothing."""
    owed = [event(), event()]

    stored.conversions.add(conversion(), owed)

    assert stored.outbox.owed(EventName.VIDEO_UPLOADED, 10) == owed


def test_a_conversion_may_owe_nothing(stored):
    stored.conversions.add(conversion(), [])

    assert [stored.outbox.owed(name, 10) for name in EventName] == [[], [], []]


def test_a_video_that_came_in_slices_has_no_digest_yet(stored):
    kept = conversion(video=Video(bytes=3, sha256=None))

    stored.conversions.add(kept, [])

    assert stored.conversions.get("c1") == kept


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_conversion_that_is_added_again_stays_as_it_is(stored, is_deleted):
    """Whoever lost the answer may ask again; neither progress nor a deletion is undone by it."""
    first, second = event(), event()
    stored.conversions.add(conversion("c1"), [first])
    if is_deleted:
        stored.conversions.delete("c1", NOW)

    stored.conversions.add(conversion("c1", filename="other.mp4"), [second])

    if is_deleted:
        with pytest.raises(ConversionMissing):
            stored.conversions.get("c1")
    else:
        assert stored.conversions.get("c1") == conversion("c1")
    assert second not in stored.outbox.owed(EventName.VIDEO_UPLOADED, 10)


@pytest.mark.parametrize("state", State)
def test_what_was_deleted_is_missing_and_owes_nothing(stored, state):
    stored.conversions.add(conversion(state=state), [event()])

    stored.conversions.delete("c1", NOW)

    with pytest.raises(ConversionMissing):
        stored.conversions.get("c1")
    with pytest.raises(ConversionMissing):
        stored.conversions.delete("c1", NOW)
    assert stored.outbox.owed(EventName.VIDEO_UPLOADED, 10) == []


def test_for_one_origin_one_conversion_is_added(stored):
    """Two functions may work on the same request at once, when one was given up that is only slow."""
    first = event()

    assert stored.conversions.add_once(conversion("c1"), [first], "$o1") == "c1"
    assert stored.conversions.add_once(conversion("c1", filename="b.mp4"), [event()], "$o1") == "c1"
    assert stored.conversions.add_once(conversion("c2"), [event()], "$o1") == "c1"

    assert stored.conversions.added_for("$o1") == "c1"
    assert stored.conversions.get("c1") == conversion("c1")
    assert stored.outbox.owed(EventName.VIDEO_UPLOADED, 10) == [first]
    with pytest.raises(ConversionMissing):
        stored.conversions.get("c2")


def test_origins_know_nothing_of_each_other(stored):
    """Nor of conversions without one, of which there are many."""
    stored.conversions.add(conversion("c1"), [])
    stored.conversions.add(conversion("c2"), [])

    assert stored.conversions.added_for("o3") is None
    assert stored.conversions.add_once(conversion("c3"), [], "o3") == "c3"
    assert stored.conversions.add_once(conversion("c4"), [], "o4") == "c4"


def test_after_a_deletion_one_more_may_be_added_for_the_origin(stored):
    """The gateway deletes what it could not announce, and its client tries again. The deleted one stays deleted."""
    stored.conversions.add_once(conversion("c1"), [], "o1")
    stored.conversions.delete("c1", NOW)

    assert stored.conversions.added_for("o1") is None
    stored.conversions.add_once(conversion("c1"), [], "o1")
    with pytest.raises(ConversionMissing):
        stored.conversions.get("c1")
    assert stored.conversions.add_once(conversion("c2"), [], "o1") == "c2"
    assert stored.conversions.add_once(conversion("c3"), [], "o1") == "c2"
