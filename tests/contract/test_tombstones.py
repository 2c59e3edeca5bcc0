"""Tombstones, the same for the fake and for MongoDB; and finding the files that a deleted conversion left."""

from datetime import timedelta
from typing import Protocol

import pytest
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.files import Files, GridFSFiles
from functions.shared.mongo import Document, to_document
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.sweep.tombstones import Tombstones
from tests.conversions import conversion
from tests.fakes.shared import FakeDatabase, FakeFiles, Record
from tests.fakes.sweep import FakeTombstones

MINUTE = timedelta(minutes=1)


class Graveyard(Protocol):
    """Tombstones, and the means to put some there."""

    @property
    def tombstones(self) -> Tombstones: ...

    def put(self, conversion_id: str, deleted_for: timedelta | None) -> None: ...


@pytest.fixture(params=["fake", "mongo"])
def graveyard(request: pytest.FixtureRequest) -> Graveyard:
    return FakeGraveyard() if request.param == "fake" else MongoGraveyard(request.getfixturevalue("mongo"))


@pytest.fixture(params=["fake", "mongo"])
def files(request: pytest.FixtureRequest) -> Files:
    return FakeFiles() if request.param == "fake" else GridFSFiles(request.getfixturevalue("mongo"), "mp3s")


def test_what_was_deleted_a_while_ago_is_to_be_purged(graveyard):
    """Whoever deleted it may have died before its files were gone, and people trust that they are."""
    graveyard.put("c1", deleted_for=MINUTE)

    assert graveyard.tombstones.unpurged(10, MINUTE) == ["c1"]


def test_what_was_deleted_just_now_is_left_to_its_deleter(graveyard):
    """It is probably busy with the files."""
    graveyard.put("c1", deleted_for=MINUTE / 2)

    assert graveyard.tombstones.unpurged(10, MINUTE) == []


def test_what_was_not_deleted_is_never_purged(graveyard):
    """These files are somebody's."""
    graveyard.put("c1", deleted_for=None)

    assert graveyard.tombstones.unpurged(10, MINUTE) == []


def test_what_was_purged_is_not_purged_again(graveyard):
    """Tombstones stay, and there will be many."""
    graveyard.put("c1", deleted_for=MINUTE)

    graveyard.tombstones.mark_purged("c1")
    graveyard.tombstones.mark_purged("never-was")

    assert graveyard.tombstones.unpurged(10, MINUTE) == []


def test_a_run_takes_the_oldest_first_and_only_so_many(graveyard):
    """After an outage there may be thousands."""
    for number in (2, 3, 1):
        graveyard.put(f"c{number}", deleted_for=MINUTE * (5 - number))

    assert graveyard.tombstones.unpurged(2, MINUTE) == ["c1", "c2"]


def test_files_are_found_by_how_their_ids_begin(files):
    """Each attempt at a conversion has an MP3 of its own, and one conversion's id may begin another's."""
    for file_id in ("c1-2", "c1-10", "c10-1", "c1", "xc1-1", "c1.-1"):
        files.put(file_id, [b"sound"])

    assert files.ids("c1-") == ["c1-10", "c1-2"]
    assert files.ids("c1.") == ["c1.-1"]
    assert files.ids("nothing") == []


def test_chunks_of_a_writer_that_died_are_found_too(mongo):
    """Nobody else would ever delete them."""
    mongo["mp3s"].chunks.insert_one({"files_id": "c1-3", "n": 0, "data": b"half"})
    files = GridFSFiles(mongo, "mp3s")

    assert files.ids("c1-") == ["c1-3"]
    files.delete("c1-3")
    assert files.ids("c1-") == []


class FakeGraveyard:
    def __init__(self) -> None:
        self._database = FakeDatabase()
        self.tombstones = FakeTombstones(self._database, utc_now)

    def put(self, conversion_id: str, deleted_for: timedelta | None) -> None:
        record = Record(conversion(conversion_id), deleted=deleted_for is not None)
        if deleted_for is not None:
            record.extra["deleted_at"] = utc_now() - deleted_for
        self._database.records[conversion_id] = record


class MongoGraveyard:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions
        self.tombstones = MongoTombstones(database)

    def put(self, conversion_id: str, deleted_for: timedelta | None) -> None:
        document = to_document(conversion(conversion_id), [])
        if deleted_for is not None:
            document["deleted_at"] = utc_now() - deleted_for
        self._collection.insert_one(document)
