"""AbandonedUploads: the same for the fake and for MongoDB."""

from datetime import timedelta
from typing import Protocol

import pytest
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.sweep.abandoned import Abandoned, AbandonedUploads
from functions.sweep.mongo_abandoned import MongoAbandonedUploads
from functions.upload.mongo_uploads import MongoUploads
from tests.conversions import conversion
from tests.fakes.shared import FakeConversions, FakeDatabase
from tests.fakes.sweep import FakeAbandonedUploads
from tests.uploads import upload

HOUR = timedelta(hours=1)


class Storage(Protocol):
    """Abandoned uploads, and the means to have some. Time is negative for what is not abandoned yet."""

    @property
    def abandoned(self) -> AbandonedUploads: ...

    def expire(self, upload_id: str, ago: timedelta) -> None: ...

    def delete(self, upload_id: str) -> None: ...

    def watch(self, upload_id: str) -> None: ...

    def convert(self, upload_id: str, *, delete: bool = False) -> None: ...


@pytest.fixture(params=["fake", "mongo"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return FakeStorage() if request.param == "fake" else MongoStorage(request.getfixturevalue("mongo"))


def test_what_expired_a_while_ago_is_abandoned(storage):
    """Its owner will not come back, and its bytes take room."""
    storage.expire("u1", HOUR)

    assert storage.abandoned.expired(10, HOUR) == [Abandoned("u1", has_conversion=False)]


@pytest.mark.parametrize("ago", [HOUR / 2, -HOUR])
def test_what_can_still_be_written_to_is_not(storage, ago):
    storage.expire("u1", ago)

    assert storage.abandoned.expired(10, HOUR) == []


def test_of_what_became_a_video_that_is_said(storage):
    """Its bytes are not to be touched, even if nobody could write down that the upload is whole."""
    storage.expire("u1", HOUR)
    storage.convert("u1")
    storage.convert("u2")

    assert storage.abandoned.expired(10, HOUR) == [Abandoned("u1", has_conversion=True)]


def test_a_conversion_that_was_deleted_keeps_no_bytes(storage):
    storage.expire("u1", HOUR)
    storage.convert("u1", delete=True)

    assert storage.abandoned.expired(10, HOUR) == [Abandoned("u1", has_conversion=False)]


def test_what_was_deleted_is_looked_after_once_more(storage):
    """Somebody may have been writing to it at that moment, and nobody else would ever delete what came of it."""
    storage.expire("u1", -HOUR)
    storage.delete("u1")

    assert storage.abandoned.expired(10, HOUR) == []
    assert storage.abandoned.expired(10, timedelta()) == [Abandoned("u1", has_conversion=False)]


@pytest.mark.parametrize("is_converted", [True, False])
def test_what_is_watched_is_looked_after(storage, is_converted):
    """A video that came in a form is no upload. Whoever stored it may have died before there was a conversion."""
    storage.watch("u1")
    if is_converted:
        storage.convert("u1")

    assert storage.abandoned.expired(10, HOUR) == []
    assert storage.abandoned.expired(10, timedelta()) == [Abandoned("u1", has_conversion=is_converted)]


def test_what_is_forgotten_is_abandoned_no_more(storage):
    storage.expire("u1", HOUR)
    storage.expire("u2", HOUR)

    storage.abandoned.forget("u1")
    storage.abandoned.forget("never-was")

    assert storage.abandoned.expired(10, HOUR) == [Abandoned("u2", has_conversion=False)]


def test_a_run_takes_the_oldest_first_and_only_so_many(storage):
    """After an outage there may be thousands."""
    for number in (2, 3, 1):
        storage.expire(f"u{number}", HOUR * (5 - number))

    assert [upload.upload_id for upload in storage.abandoned.expired(2, HOUR)] == ["u1", "u2"]


class FakeStorage:
    def __init__(self) -> None:
        database = FakeDatabase()
        self.abandoned = FakeAbandonedUploads(database, utc_now)
        self._conversions = FakeConversions(database)

    def expire(self, upload_id: str, ago: timedelta) -> None:
        self.abandoned.expires_at[upload_id] = utc_now() - ago

    def delete(self, upload_id: str) -> None:
        self.abandoned.expires_at[upload_id] = utc_now()

    def watch(self, upload_id: str) -> None:
        self.abandoned.expires_at[upload_id] = utc_now()

    def convert(self, upload_id: str, *, delete: bool = False) -> None:
        self._conversions.add(conversion(upload_id), [])
        if delete:
            self._conversions.delete(upload_id, utc_now())


class MongoStorage:
    def __init__(self, database: Database[Document]) -> None:
        self.abandoned = MongoAbandonedUploads(database)
        self._uploads = MongoUploads(database)
        self._conversions = MongoConversions(database)

    def expire(self, upload_id: str, ago: timedelta) -> None:
        self._uploads.add(upload(upload_id, expires_at=utc_now() - ago))

    def delete(self, upload_id: str) -> None:
        self._uploads.delete(upload_id)

    def watch(self, upload_id: str) -> None:
        self._uploads.watch(upload_id)

    def convert(self, upload_id: str, *, delete: bool = False) -> None:
        self._conversions.add(conversion(upload_id), [])
        if delete:
            self._conversions.delete(upload_id, utc_now())
