"""What every implementation of Usage does: the fake, and MongoDB's on a real server."""

from datetime import timedelta
from typing import Any, Protocol

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.conversions import Conversions, Mp3, Owner, Video
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.problems import Unavailable
from functions.upload.mongo_uploads import MongoUploads
from functions.upload.mongo_usage import MongoUsage
from functions.upload.uploads import Kind, Upload, Uploads, Usage, Used
from tests.conversions import NOW, OWNER, conversion
from tests.fakes.shared import FakeConversions, FakeDatabase
from tests.fakes.upload import FakeUploads, FakeUsage
from tests.uploads import upload

STRANGER = Owner(id="owner-2", email="ben@example.com")


class Stored(Protocol):
    """Usage, and what it is made of."""

    @property
    def usage(self) -> Usage: ...

    @property
    def conversions(self) -> Conversions: ...

    @property
    def uploads(self) -> Uploads: ...


@pytest.fixture(params=["fake", "mongo"])
def stored(request: pytest.FixtureRequest) -> Stored:
    return FakeStored() if request.param == "fake" else MongoStored(request.getfixturevalue("mongo"))


def test_who_has_nothing_uses_nothing(stored):
    assert stored.usage.used_by(OWNER.id).bytes == 0


def test_videos_and_mp3s_count(stored):
    """Both take room until the conversion is deleted."""
    stored.conversions.add(conversion("c1", video=video(100), mp3=mp3(10)), [])
    stored.conversions.add(conversion("c2", video=video(2_000)), [])
    stored.conversions.add(conversion("c3", video=video(20 * 1024**3)), [])

    assert stored.usage.used_by(OWNER.id).bytes == 2_110 + 20 * 1024**3


def test_what_was_deleted_does_not_count(stored):
    """Whoever is out of room deletes something, and goes on."""
    stored.conversions.add(conversion("c1", video=video(100), mp3=mp3(10)), [])
    stored.conversions.add(conversion("c2", video=video(7)), [])
    stored.uploads.add(upload("u1", length=1_000, expires_at=soon()))

    stored.conversions.delete("c1", NOW)
    stored.uploads.delete("u1")

    assert stored.usage.used_by(OWNER.id).bytes == 7


def test_what_others_have_does_not_count(stored):
    stored.conversions.add(conversion("c1", owner=STRANGER, video=video(100)), [])
    stored.uploads.add(upload("u1", owner=STRANGER, length=1_000, expires_at=soon()))

    assert stored.usage.used_by(OWNER.id).bytes == 0
    assert stored.usage.used_by(STRANGER.id).bytes == 1_100
    assert stored.usage.used_by("").bytes == 0


@pytest.mark.parametrize(
    ("begun", "used"),
    [
        ({"length": 1_000}, 1_000),
        ({"length": 1_000, "offset": 999}, 1_000),
        ({"length": None, "offset": 0}, 0),
        ({"length": None, "offset": 30}, 30),
        ({"length": 1_000, "offset": 1_000}, 0),
        ({"length": 0, "offset": 0}, 0),
        ({"length": 1_000, "kind": Kind.FINAL}, 1_000),
        ({"length": 1_000, "offset": 1_000, "kind": Kind.FINAL}, 0),
        ({"length": 1_000, "kind": Kind.PARTIAL}, 1_000),
        ({"length": 1_000, "offset": 1_000, "kind": Kind.PARTIAL}, 1_000),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_an_upload_under_way_counts_with_all_that_it_will_have(stored, begun, used):
    """Else a person could begin any number at once. A video that is whole counts as its conversion's."""
    stored.uploads.add(made(begun, expires_at=soon()))

    assert stored.usage.used_by(OWNER.id).bytes == used


@pytest.mark.parametrize("begun", [{}, {"length": None, "offset": 5}, {"kind": Kind.PARTIAL, "length": 5, "offset": 5}])
def test_an_upload_that_has_expired_does_not_count(stored, begun):
    """Nobody can go on with it, nor delete it, and it goes by itself."""
    stored.uploads.add(made(begun, expires_at=utc_now() - timedelta(seconds=1)))

    assert stored.usage.used_by(OWNER.id).bytes == 0


def test_uploads_under_way_are_counted_apart(stored):
    """A person who is out of room has to know of those that were left behind."""
    stored.conversions.add(conversion("c1", video=video(1), mp3=mp3(20)), [])
    stored.uploads.add(upload("u1", length=4_000, expires_at=soon()))
    stored.uploads.add(upload("u2", length=None, offset=300, expires_at=soon()))
    stored.uploads.add(upload("u3", length=7, offset=7, expires_at=soon()))
    stored.uploads.add(upload("u4", length=9, expires_at=utc_now() - timedelta(seconds=1)))

    assert stored.usage.used_by(OWNER.id) == Used(stored_bytes=21, open_uploads=2, upload_bytes=4_300)


def test_all_of_it_is_added_up(stored):
    stored.conversions.add(conversion("c1", video=video(1), mp3=mp3(20)), [])
    stored.conversions.add(conversion("c2", video=video(300)), [])
    stored.uploads.add(upload("u1", length=4_000, expires_at=soon()))
    stored.uploads.add(upload("u2", length=50_000, offset=50_000, kind=Kind.PARTIAL, expires_at=soon()))

    assert stored.usage.used_by(OWNER.id).bytes == 54_321


class TestMongo:
    """What only MongoDB can get wrong."""

    def test_only_indexes_are_read(self, mongo):
        """A document of `uploads` can hold a megabyte, and this is asked whenever an upload begins."""
        stored = MongoStored(mongo)
        stored.conversions.add(conversion("c1", video=video(1), mp3=mp3(20)), [])
        stored.uploads.add(upload("u1", expires_at=soon()))
        mongo.command("profile", 2)

        stored.usage.used_by(OWNER.id)

        mongo.command("profile", 0)
        answered = list(mongo.system.profile.find({"command.aggregate": {"$in": ["conversions", "uploads"]}}))
        assert [(answer["keysExamined"], answer["docsExamined"]) for answer in answered] == [(1, 0), (1, 0)]

    def test_a_server_that_does_not_answer_is_unavailable(self):
        """Which a client may try again."""
        with (
            MongoClient[Document]("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50) as client,
            pytest.raises(Unavailable),
        ):
            MongoUsage(client["test"]).used_by(OWNER.id)


def video(size: int) -> Video:
    return Video(bytes=size, sha256=None)


def mp3(size: int) -> Mp3:
    return Mp3(bytes=size, sha256="00", duration_s=1.5, bit_rate_bps=64_000, sample_rate_hz=44_100, channels=2)


def made(changes: dict[str, Any], **more: Any) -> Upload:
    return upload("u1", **changes, **more)


def soon() -> Any:
    """Return when an upload expires that was begun just now, by the clock of the storage."""
    return utc_now() + timedelta(hours=1)


class FakeStored:
    def __init__(self) -> None:
        database = FakeDatabase()
        self.conversions = FakeConversions(database)
        self.uploads = FakeUploads()
        self.usage = FakeUsage(database, self.uploads)


class MongoStored:
    def __init__(self, database: Database[Document]) -> None:
        self.conversions = MongoConversions(database)
        self.uploads = MongoUploads(database)
        self.usage = MongoUsage(database)
