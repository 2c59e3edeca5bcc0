"""What every implementation of Files does: the fake, and GridFS on a real MongoDB."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from functions.shared.files import CHUNK_BYTES, FileDamaged, FileMissing, Files, GridFSFiles
from functions.shared.mongo import Document
from functions.shared.problems import Unavailable
from tests.fakes.shared import FakeFiles

# Three chunks, the last of which is short; no two alike, nor two bytes beside each other.
CONTENT = bytes(range(251)) * 9_000
assert 2 * CHUNK_BYTES < len(CONTENT) < 3 * CHUNK_BYTES


class Bucket(NamedTuple):
    """Files, and a hand that changes what is stored of one: chunk `number` becomes `data`, or is lost if it is None."""

    files: Files
    damage: Callable[[str, int, bytes | None], None]


def fake_bucket() -> Bucket:
    files = FakeFiles()

    def damage(file_id: str, number: int, data: bytes | None) -> None:
        content, start = files.contents[file_id], number * CHUNK_BYTES
        files.contents[file_id] = content[:start] + (data or b"") + content[start + CHUNK_BYTES :]

    return Bucket(files, damage)


def gridfs_bucket(database: Database[Document]) -> Bucket:
    chunks = database["videos"].chunks

    def damage(file_id: str, number: int, data: bytes | None) -> None:
        if data is None:
            chunks.delete_one({"files_id": file_id, "n": number})
        else:
            chunks.update_one({"files_id": file_id, "n": number}, {"$set": {"data": data}})

    return Bucket(GridFSFiles(database, "videos"), damage)


@pytest.fixture(params=["fake", "gridfs"])
def bucket(request):
    return fake_bucket() if request.param == "fake" else gridfs_bucket(request.getfixturevalue("mongo"))


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def chunk(number: int) -> bytes:
    return CONTENT[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]


@pytest.mark.parametrize("size", [1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES])
def test_a_file_comes_back_as_it_was_put_however_it_was_cut(bucket, size):
    stored = bucket.files.put("f1", cut(CONTENT, size))

    assert stored == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert b"".join(bucket.files.read("f1")) == CONTENT


@pytest.mark.parametrize("parts", [[], [b""], [b"", b"x", b""], [b"\x00" * CHUNK_BYTES]])
def test_files_of_odd_sizes_are_files_too(bucket, parts):
    content = b"".join(parts)

    assert bucket.files.put("f1", parts) == (len(content), hashlib.sha256(content).hexdigest())
    assert b"".join(bucket.files.read("f1")) == content


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (0, 0),
        (5, 5),
        (10, 20),
        (0, CHUNK_BYTES),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (1, len(CONTENT)),
        (len(CONTENT) - 1, len(CONTENT)),
        (len(CONTENT), len(CONTENT)),
        (2 * CHUNK_BYTES + 3, None),
    ],
)
def test_a_range_of_a_file_can_be_read(bucket, start, end):
    """A player seeks; a broken download goes on where it broke."""
    bucket.files.put("f1", [CONTENT])

    parts = list(bucket.files.read("f1", start, end))

    assert b"".join(parts) == CONTENT[start:end]
    assert all(0 < len(part) <= CHUNK_BYTES for part in parts)


@pytest.mark.parametrize(
    ("start", "end"), [(0, len(CONTENT) + 1), (len(CONTENT), len(CONTENT) + 1), (10**12, 10**12 + 1)]
)
def test_reading_past_the_end_fails(bucket, start, end):
    """Whoever does so believes in a longer file: a short body must not look whole."""
    bucket.files.put("f1", [CONTENT])

    with pytest.raises(FileDamaged):
        list(bucket.files.read("f1", start, end))


def test_a_missing_file_is_told_at_once(bucket):
    """Before the first byte, while the answer can still be a 404."""
    with pytest.raises(FileMissing):
        bucket.files.read("f1")


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted", "emptied"])
def test_what_is_damaged_is_never_handed_out(bucket, number, damage):
    """All that is read before the damage is right, and no part of the damage is read."""
    bucket.files.put("f1", [CONTENT])
    data = chunk(number)
    damaged = {"flipped": data[:-1] + b"\xff", "cut": data[:-1], "deleted": None, "emptied": b""}[damage]
    bucket.damage("f1", number, damaged)
    read = bytearray()

    with pytest.raises(FileDamaged):  # noqa: PT012
        for part in bucket.files.read("f1"):
            read += part

    assert bytes(read) == CONTENT[: number * CHUNK_BYTES]


@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
def test_a_range_that_touches_the_damage_is_not_handed_out(bucket, damage):
    """A range is never checked against the whole file, so each chunk has its own checksum."""
    bucket.files.put("f1", [CONTENT])
    data = chunk(1)
    bucket.damage("f1", 1, {"flipped": b"\xff" + data[1:], "cut": data[:10], "deleted": None}[damage])

    with pytest.raises(FileDamaged):
        list(bucket.files.read("f1", CHUNK_BYTES, CHUNK_BYTES + 1))


def test_what_is_not_damaged_can_still_be_read(bucket):
    bucket.files.put("f1", [CONTENT])
    bucket.damage("f1", 2, b"\xff" * len(chunk(2)))

    assert b"".join(bucket.files.read("f1", 0, CHUNK_BYTES)) == chunk(0)


def test_the_crc32_of_files_is_known(bucket):
    """A ZIP names that of each file before its bytes."""
    bucket.files.put("a", cut(CONTENT, 300_000))
    bucket.files.put("b", [])

    assert bucket.files.crc32s(["b", "a"]) == {"a": zlib.crc32(CONTENT), "b": 0}
    with pytest.raises(FileMissing):
        bucket.files.crc32s(["a", "c"])


def test_the_crc32_of_a_file_from_before_it_was_kept_is_found_once(mongo):
    """MP3s are kept for a month. The first person to take a ZIP waits until it was read, and nobody after them."""
    bucket = gridfs_bucket(mongo)
    bucket.files.put("a", [CONTENT])
    mongo.videos.files.update_one({"_id": "a"}, {"$unset": {"metadata.whole_crc32": True}})

    assert bucket.files.crc32s(["a"]) == {"a": zlib.crc32(CONTENT)}

    bucket.damage("a", 1, None)
    assert bucket.files.crc32s(["a"]) == {"a": zlib.crc32(CONTENT)}


def test_no_crc32_is_found_for_a_file_that_is_damaged(mongo):
    bucket = gridfs_bucket(mongo)
    bucket.files.put("a", [CONTENT])
    mongo.videos.files.update_one({"_id": "a"}, {"$unset": {"metadata.whole_crc32": True}})
    bucket.damage("a", 1, chunk(0))

    with pytest.raises(FileDamaged):
        bucket.files.crc32s(["a"])


def test_a_put_replaces_what_is_there(bucket):
    """A conversion that is done again writes under the id of the first time."""
    bucket.files.put("f1", [CONTENT])
    bucket.files.put("f1", [b"shorter"])

    assert b"".join(bucket.files.read("f1")) == b"shorter"


def test_a_file_that_was_not_finished_is_not_there(bucket):
    """The client went away in the middle: nobody may see half a file, and it leaves nothing."""

    def breaks_off() -> Iterator[bytes]:
        yield CONTENT * 15
        raise ConnectionError("The client is gone.")

    with pytest.raises(ConnectionError):
        bucket.files.put("f1", breaks_off())

    with pytest.raises(FileMissing):
        bucket.files.read("f1")
    assert bucket.files.ids("f1") == []


def test_a_deleted_file_is_gone_and_others_stay(bucket):
    bucket.files.put("f1", [CONTENT])
    bucket.files.put("f10", [b"another"])

    bucket.files.delete("f1")

    with pytest.raises(FileMissing):
        bucket.files.read("f1")
    assert b"".join(bucket.files.read("f10")) == b"another"


def test_deleting_what_is_not_there_does_nothing(bucket):
    """Deletion is repeated after a crash."""
    bucket.files.delete("f1")

    assert bucket.files.ids("") == []


def test_ids_are_found_by_what_they_begin_with(bucket):
    """A conversion's MP3s begin with its id; signs of regular expressions mean nothing."""
    for file_id in ("c1-1", "c1-2", "c10-1", "c.-1"):
        bucket.files.put(file_id, [b"x"])

    assert bucket.files.ids("c1-") == ["c1-1", "c1-2"]
    assert bucket.files.ids("c.-") == ["c.-1"]
    assert bucket.files.ids("C1-") == []


class TestGridFS:
    """What only GridFS can get wrong."""

    @pytest.fixture
    def database(self, mongo):
        return mongo

    def test_what_a_dead_writer_left_goes_with_the_next_put(self, database):
        """It was killed between its chunks and its files document."""
        chunks = database["videos"].chunks
        chunks.insert_many([{"files_id": "f1", "n": number, "data": b"old"} for number in (0, 7)])
        files = GridFSFiles(database, "videos")
        assert files.ids("f1") == ["f1"]

        files.put("f1", [b"new"])

        assert b"".join(files.read("f1")) == b"new"
        assert chunks.count_documents({}) == 1

    def test_no_chunk_stays_behind(self, database):
        files = GridFSFiles(database, "videos")
        files.put("f1", [CONTENT])
        files.put("f1", [b"short"])
        files.delete("f1")

        assert database["videos"].chunks.count_documents({}) == 0

    def test_a_file_whose_checksums_are_lost_is_damaged(self, database):
        """What cannot be checked is not handed out."""
        files = GridFSFiles(database, "videos")
        files.put("f1", [CONTENT])
        database["videos"].files.update_one({"_id": "f1"}, {"$unset": {"metadata": True}})

        with pytest.raises(FileDamaged):
            next(files.read("f1"))

    def test_a_chunk_that_changed_is_damaged_and_those_before_it_are_not(self, database):
        """Then a broken body never has its full length."""
        files = GridFSFiles(database, "videos")
        files.put("f1", [CONTENT])
        database["videos"].chunks.update_one({"files_id": "f1", "n": 2}, {"$set": {"data": b"0" * len(chunk(2))}})
        parts = files.read("f1")

        assert (next(parts), next(parts)) == (chunk(0), chunk(1))
        with pytest.raises(FileDamaged):
            next(parts)

    def test_a_file_from_before_there_were_digests_is_read_and_checked(self, database):
        """An update of the service must not make a single stored video unreadable."""
        files = GridFSFiles(database, "videos")
        files.put("f1", [CONTENT])
        sums = b"".join(zlib.crc32(chunk(number)).to_bytes(4, "big") for number in range(3))
        before = {"$set": {"metadata.crc32": sums}, "$unset": {"metadata.chunk_sha256": True}}
        database["videos"].files.update_one({"_id": "f1"}, before)

        assert b"".join(files.read("f1")) == CONTENT
        database["videos"].chunks.update_one({"files_id": "f1", "n": 1}, {"$set": {"data": b"0" * len(chunk(1))}})
        with pytest.raises(FileDamaged):
            list(files.read("f1"))

    def test_a_server_that_does_not_answer_is_unavailable(self):
        """Which a client may try again; and the failed clean-up does not hide what happened."""
        with MongoClient[Document]("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50) as client:
            files = GridFSFiles(client["videos"], "videos")

            for call in (
                lambda: files.put("f1", [CONTENT]),
                lambda: files.read("f1"),
                lambda: files.delete("f1"),
                lambda: files.ids("f1"),
            ):
                with pytest.raises(Unavailable):
                    call()

    def test_two_buckets_do_not_mix(self, database):
        videos, mp3s = GridFSFiles(database, "videos"), GridFSFiles(database, "mp3s")
        videos.put("f1", [b"video"])

        with pytest.raises(FileMissing):
            mp3s.read("f1")
