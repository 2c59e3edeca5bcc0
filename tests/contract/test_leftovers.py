"""What nothing owns, found in a real GridFS among all that somebody does own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from functions.convert.claims import ClaimLost
from functions.convert.mongo_claims import MongoClaims
from functions.download.mongo_library import MongoLibrary
from functions.shared.clock import utc_now
from functions.shared.events import EventName
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.sweep.leftovers import Leftovers
from functions.sweep.mongo_abandoned import MongoAbandonedUploads
from functions.sweep.mongo_leftovers import MongoLeftoverMp3s, MongoLeftoverVideos
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.mongo_uploads import MongoUploads
from functions.upload.uploads import UploadExists
from tests.conversions import conversion, event
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.shared import FakeFiles
from tests.fakes.sweep import FakeLeftovers
from tests.uploads import upload

DAY = timedelta(days=1)
NONE = timedelta()
MANY = 100


# Videos


def test_a_video_without_a_conversion_is_left_to_the_rule_for_deleted_uploads(mongo):
    """Upload died before it wrote the conversion, and nothing else was written down."""
    videos = GridFSFiles(mongo, "videos")
    videos.put("v1", [b"video"])

    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == ["v1"]

    assert MongoAbandonedUploads(mongo).expired(MANY, NONE) == [("v1", False)]
    assert b"".join(videos.read("v1")) == b"video"
    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == []


def test_chunks_of_a_writer_that_died_are_found(mongo):
    """There is no file, so nobody sees them; they only take room. The first of them may be gone, too."""
    mongo.videos.chunks.insert_many([{"files_id": "v1", "n": number, "data": b"x"} for number in (1, 2)])

    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == ["v1"]


def test_a_file_without_chunks_is_found(mongo):
    """Its chunks were lost."""
    mongo.videos.files.insert_one({"_id": "v1", "length": 5, "uploadDate": utc_now()})

    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == ["v1"]


def test_videos_that_somebody_owns_stay(mongo):
    """An upload under way, one that was deleted, a form's, a conversion's, and those of what was deleted just now."""
    videos, uploads, conversions = GridFSFiles(mongo, "videos"), MongoUploads(mongo), MongoConversions(mongo)
    for name in ("under-way", "deleted", "watched", "converted", "tombstone"):
        videos.put(name, [b"video"])
    uploads.add(upload("under-way"))
    uploads.add(upload("deleted"))
    uploads.delete("deleted")
    uploads.watch("watched")
    conversions.add(conversion("converted"), [])
    conversions.add(conversion("tombstone"), [])
    conversions.delete("tombstone", utc_now())

    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == []

    # What comes back after the purge belongs to nobody.
    MongoTombstones(mongo).mark_purged("tombstone")
    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == ["tombstone"]


def test_an_upload_cannot_begin_on_what_is_being_deleted(mongo):
    """The id of a final upload is a hash, so it can come again. Nothing may delete what it writes."""
    GridFSFiles(mongo, "videos").put("v1", [b"video"])
    MongoLeftoverVideos(mongo).clear(MANY, NONE)

    with pytest.raises(UploadExists):
        MongoUploads(mongo).add(upload("v1"))


def test_an_upload_that_begins_meanwhile_keeps_its_bytes(mongo, monkeypatch):
    """It came after somebody looked for it, and before the bytes were noted as left over."""
    GridFSFiles(mongo, "videos").put("v1", [b"video"])
    leftovers = MongoLeftoverVideos(mongo)

    def look_too_early(_file_ids: list[str]) -> set[str]:
        MongoUploads(mongo).add(upload("v1"))
        return set()

    monkeypatch.setattr(leftovers, "_owned", look_too_early)

    assert leftovers.clear(MANY, NONE) == []

    assert MongoUploads(mongo).hold("v1", "t1").upload == upload("v1")


def test_bytes_of_a_slice_count_from_the_day_they_were_written(mongo):
    """Whoever stalled while its upload was deleted may wake up at any time."""
    uploads = MongoUploads(mongo)
    uploads.add(upload("u1"))
    GridFSSlices(mongo).write(uploads.hold("u1", "t1"), b"late")
    mongo.uploads.delete_one({"_id": "u1"})

    assert MongoLeftoverVideos(mongo).clear(MANY, DAY) == []
    assert MongoLeftoverVideos(mongo).clear(MANY, NONE) == ["u1"]


# MP3s


def test_the_mp3_of_a_claim_that_was_lost_is_deleted(mongo):
    """A worker stored it and died before it saw that its claim was lost. The other's MP3 stays."""
    claims: Any = MongoClaims(mongo, lease_s=60)
    mp3s = GridFSFiles(mongo, "mp3s")
    MongoConversions(mongo).add(conversion(), [])
    lost = claims.claim("c1", "w1")
    mongo.conversions.update_one({}, {"$set": {"lease.expires_at": utc_now() - DAY}})
    held = claims.claim("c1", "w2")
    mp3s.put(lost.mp3_file_id, [b"stray"])
    mp3s.put(held.mp3_file_id, [b"mp3"])

    assert MongoLeftoverMp3s(mongo).clear(MANY, NONE) == ["c1-1"]
    claims.complete(held, COMPLETED.mp3, COMPLETED.video, [], event(EventName.CONVERSION_COMPLETED))
    assert MongoLeftoverMp3s(mongo).clear(MANY, NONE) == []

    assert mp3s.ids("") == ["c1-2"]
    with pytest.raises(ClaimLost):
        claims.complete(lost, COMPLETED.mp3, COMPLETED.video, [], event(EventName.CONVERSION_COMPLETED))


def test_what_a_failed_attempt_stored_is_deleted(mongo):
    """Until the conversion is tried again nobody else would, and that may be never."""
    claims: Any = MongoClaims(mongo, lease_s=60)
    MongoConversions(mongo).add(conversion(), [])
    claim = claims.claim("c1", "w1")
    GridFSFiles(mongo, "mp3s").put(claim.mp3_file_id, [b"mp3"])
    claims.fail(claim, FAILED.error, event(EventName.CONVERSION_FAILED), FAILED.video)

    assert MongoLeftoverMp3s(mongo).clear(MANY, NONE) == ["c1-1"]
    MongoLibrary(mongo).retry("c1", [], utc_now())
    assert claims.claim("c1", "w1").mp3_file_id == "c1-2"


def test_mp3s_of_no_conversion_are_deleted_and_other_files_stay(mongo):
    """Whatever has another name was not put there by us."""
    mp3s = GridFSFiles(mongo, "mp3s")
    for name in ("gone-7", "something", "else-x"):
        mp3s.put(name, [b"mp3"])
    mongo.mp3s.chunks.insert_one({"files_id": "half-1", "n": 0, "data": b"half"})

    assert MongoLeftoverMp3s(mongo).clear(MANY, NONE) == ["gone-7", "half-1"]

    assert mp3s.ids("") == ["else-x", "something"]


def test_the_mp3_of_a_fence_that_is_still_to_come_stays(mongo):
    """After a restore of older documents the same number may be given again, and written under."""
    MongoConversions(mongo).add(conversion(), [])
    GridFSFiles(mongo, "mp3s").put("c1-9", [b"mp3"])

    assert MongoLeftoverMp3s(mongo).clear(MANY, NONE) == []


# Both


@pytest.fixture(params=["fake", "videos", "mp3s"])
def bucket(request: pytest.FixtureRequest) -> "Bucket":
    return FakeBucket() if request.param == "fake" else MongoBucket(request.getfixturevalue("mongo"), request.param)


def test_what_was_stored_lately_stays(bucket):
    """It is being written, or what owns it is written next."""
    bucket.put("a-1", ago=DAY / 2)
    bucket.put("b-1", ago=DAY * 2)

    assert bucket.leftovers.clear(MANY, DAY) == ["b-1"]


def test_one_run_looks_at_some_files_and_the_next_goes_on(bucket):
    """With a million files nobody reads all of them every minute. At the end it begins anew."""
    names = [f"c{number}-1" for number in range(5)]
    for name in names[1:]:
        bucket.put(name, ago=DAY / 2 if name == "c2-1" else DAY * 2)

    assert list(clearings(bucket.leftovers, 3)) == [["c1-1", "c3-1"], ["c4-1"], []]
    bucket.put("c0-1", ago=DAY * 2)
    assert ["c0-1"] in clearings(bucket.leftovers, 3)


def clearings(leftovers: Leftovers, runs: int) -> Iterator[list[str]]:
    for _ in range(runs):
        yield leftovers.clear(3, DAY)


class Bucket:
    """A bucket in which files can be put that were stored some time ago."""

    leftovers: Leftovers

    def put(self, file_id: str, ago: timedelta) -> None:
        raise NotImplementedError


class FakeBucket(Bucket):
    def __init__(self) -> None:
        self._files = FakeFiles()
        self.leftovers = self._fake = FakeLeftovers(self._files, utc_now)

    def put(self, file_id: str, ago: timedelta) -> None:
        self._files.put(file_id, [b"bytes"])
        self._fake.stored_at[file_id] = utc_now() - ago


class MongoBucket(Bucket):
    def __init__(self, database: Database[Document], name: str) -> None:
        self._bucket = database[name]
        self.leftovers = (MongoLeftoverVideos if name == "videos" else MongoLeftoverMp3s)(database)

    def put(self, file_id: str, ago: timedelta) -> None:
        stored_at = datetime.now(UTC) - ago
        # `from_datetime` alone gives two chunks of one second the same id.
        chunk_id = ObjectId(ObjectId.from_datetime(stored_at).binary[:4] + ObjectId().binary[4:])
        self._bucket.chunks.insert_one({"_id": chunk_id, "files_id": file_id, "n": 0, "data": b"bytes"})
        self._bucket.files.insert_one({"_id": file_id, "length": 5, "uploadDate": stored_at})
