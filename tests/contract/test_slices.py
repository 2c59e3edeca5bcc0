"""What every implementation of Slices does: the fake, and GridFS on a real MongoDB."""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import NamedTuple, Protocol

import pytest
from gridfs import GridFSBucket
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from functions.shared.clock import utc_now
from functions.shared.files import CHUNK_BYTES, ChunkDigests, FileDamaged, FileMissing, Files, GridFSFiles
from functions.shared.mongo import Document
from functions.shared.problems import Unavailable
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.mongo_uploads import MongoUploads
from functions.upload.uploads import Held, HoldLost, Progress, Slices, UploadLocked
from tests.fakes.shared import FakeFiles
from tests.fakes.upload import FakeSlices
from tests.uploads import upload

# Three chunks, the last of which is short; no two alike, nor two bytes beside each other.
CONTENT = bytes(range(251)) * 9_000
assert 2 * CHUNK_BYTES < len(CONTENT) < 3 * CHUNK_BYTES
OTHER = CONTENT[::-1]
_numbers = itertools.count()


class Stored(Protocol):
    """Slices, the files that they become, and a hand that changes a stored chunk, or takes it away if it is None."""

    @property
    def slices(self) -> Slices: ...

    @property
    def files(self) -> Files: ...

    def damage(self, number: int, data: bytes | None) -> None: ...


@pytest.fixture(params=["fake", "gridfs"])
def stored(request: pytest.FixtureRequest) -> Stored:
    return FakeStored() if request.param == "fake" else GridFSStored(request.getfixturevalue("mongo"))


class Sender:
    """One upload, sent as the rules of upload send it: it remembers what an upload's document would."""

    def __init__(self, slices: Slices, upload_id: str = "u1") -> None:
        self.slices = slices
        self.upload_id = upload_id
        self.offset = self.staged = 0
        self.fence = 1
        self.committed: dict[int, bytes] = {}
        self.written: dict[int, bytes] = {}

    @property
    def held(self) -> Held:
        tail_sha256 = self.committed[self.offset // CHUNK_BYTES] if self.offset % CHUNK_BYTES else b""
        return Held(upload(self.upload_id, offset=self.offset), "t1", self.fence, self.staged, tail_sha256)

    @property
    def digests(self) -> bytes:
        return joined(self.committed)

    def stage(self, data: bytes) -> None:
        self.written |= self.slices.write(self.held, data)
        self.staged += len(data)

    def commit(self) -> None:
        self.committed |= self.written
        self.offset += self.staged
        self.written, self.staged = {}, 0

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.stage(part)
            self.commit()

    def give_up(self) -> None:
        """Forget what is staged, as whoever takes the upload over does."""
        self.written, self.staged = {}, 0
        self.fence += 1

    def finish(self) -> None:
        self.slices.finish(self.held, self.offset, self.digests)


@pytest.mark.parametrize("size", [700_001, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES])
def test_slices_of_any_size_become_the_same_file(stored, size):
    sender = Sender(stored.slices)

    sender.send(*cut(CONTENT, size))
    sender.finish()

    assert sender.digests == digests_of(CONTENT)
    assert b"".join(stored.files.read("u1")) == CONTENT


def test_slices_of_one_byte_become_a_file(stored):
    """A client on a bad connection sends what it can, and each byte counts at once."""
    sender = Sender(stored.slices)

    sender.send(*cut(CONTENT[:200], 1))
    sender.finish()

    assert b"".join(stored.files.read("u1")) == CONTENT[:200]


def test_large_slices_at_odd_offsets_become_a_file(stored):
    """Clients choose how they cut: 5 MB, or 4 MiB behind a first byte. Then every slice fills a chunk up first."""
    content = CONTENT * 4
    sender = Sender(stored.slices)

    sender.send(content[:1], *cut(content[1:], 4 * CHUNK_BYTES))
    sender.finish()

    assert sender.digests == digests_of(content)
    assert b"".join(stored.files.read("u1")) == content


@pytest.mark.parametrize("content", [b"", b"x", bytes(CHUNK_BYTES), bytes(CHUNK_BYTES + 1)])
def test_files_of_odd_sizes_are_files_too(stored, content):
    sender = Sender(stored.slices)

    sender.send(content, b"")
    sender.finish()

    assert b"".join(stored.files.read("u1")) == content


class Step(NamedTuple):
    """What happens next: `size` more bytes come, and count, or stay staged, or are given up; or come twice."""

    size: int
    then: str


STEPS = st.lists(
    st.builds(
        Step,
        st.one_of(st.integers(0, 3), st.integers(0, 2 * CHUNK_BYTES), st.just(CHUNK_BYTES)),
        st.sampled_from(["commit", "stage", "give up", "repeat"]),
    ),
    max_size=8,
)


@given(steps=STEPS)
@example(steps=[Step(10, "commit"), Step(2 * CHUNK_BYTES, "stage"), Step(1, "give up"), Step(5, "repeat")])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_on_the_way_the_file_is_right(stored, steps):
    """Slices of any size, bodies that were given up, answers that were lost: only what was committed is in the file."""
    sender = Sender(stored.slices, f"u{next(_numbers)}")
    for step in steps:
        position = sender.offset + sender.staged
        part = CONTENT[position : position + step.size]
        if step.then == "give up":
            sender.stage(OTHER[: len(part)])
            sender.give_up()
            continue
        if step.then == "repeat":
            stored.slices.write(sender.held, part)
        sender.stage(part)
        if step.then != "stage":
            sender.commit()
    sender.commit()
    sender.send(CONTENT[sender.offset :])

    sender.finish()

    assert sender.digests == digests_of(CONTENT)
    assert b"".join(stored.files.read(sender.upload_id)) == CONTENT


def test_what_grows_is_no_file_yet(stored):
    """Nobody may see half a video."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)

    with pytest.raises(FileMissing):
        stored.files.read("u1")

    sender.finish()
    assert b"".join(stored.files.read("u1")) == CONTENT


def test_a_slice_that_is_repeated_after_a_lost_answer_changes_nothing(stored):
    """Whoever gets no answer sends again. What was written may be more than the bytes that count."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:10])

    first = stored.slices.write(sender.held, CONTENT[10:])
    assert stored.slices.write(sender.held, CONTENT[10:]) == first

    sender.send(CONTENT[10:])
    sender.finish()
    assert b"".join(stored.files.read("u1")) == CONTENT


@pytest.mark.parametrize("length", [0, 10, CHUNK_BYTES, CHUNK_BYTES + 10])
def test_what_a_dead_writer_wrote_does_not_count(stored, length):
    """It was killed between the write and the commit, and the client goes on with less, or with something else."""
    dead = Sender(stored.slices)
    dead.send(CONTENT[:length])
    dead.stage(OTHER)

    dead.give_up()
    dead.send(CONTENT[length : length + 20])
    dead.finish()

    assert b"".join(stored.files.read("u1")) == CONTENT[: length + 20]


@pytest.mark.parametrize("start", [0, 10, CHUNK_BYTES, CHUNK_BYTES + 10])
def test_a_late_writer_changes_nothing(stored, start):
    """It stalled, another request took the upload over and got further. Now it wakes up and writes."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:start])
    late = sender.held
    sender.give_up()
    sender.send(CONTENT[start : start + 100])

    with pytest.raises(HoldLost):
        stored.slices.write(late, OTHER)

    sender.send(CONTENT[start + 100 :])
    sender.finish()
    assert b"".join(stored.files.read("u1")) == CONTENT
    with pytest.raises(HoldLost):
        stored.slices.write(late, OTHER)
    assert b"".join(stored.files.read("u1")) == CONTENT


@pytest.mark.parametrize("more", [10, 2 * CHUNK_BYTES])
def test_a_late_writer_does_not_change_a_file_that_was_finished_without_more_bytes(stored, more):
    """Another request took the upload over and said only that it was complete. Convert is reading it by now."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:10])
    late = sender.held
    sender.give_up()
    sender.finish()

    with pytest.raises(HoldLost):
        stored.slices.write(late, OTHER[:more])

    assert b"".join(stored.files.read("u1")) == CONTENT[:10]


@pytest.mark.parametrize("length", [10, CHUNK_BYTES])
def test_a_late_finisher_deletes_nothing_of_who_came_after_it(stored, length):
    """It thought that the upload ended where another request went on."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:length])
    late, digests = sender.held, sender.digests
    sender.give_up()
    sender.send(CONTENT[length:])

    with contextlib.suppress(HoldLost, FileDamaged):
        stored.slices.finish(late, length, digests)

    assert b"".join(stored.slices.read("u1", 0, len(CONTENT), sender.digests)) == CONTENT


def test_of_two_writers_at_once_the_later_holder_wins(stored):
    """However their chunks interleave: what the one who holds the upload wrote is what is read."""
    for number in range(10):
        early, later = Sender(stored.slices, f"u{number}"), Sender(stored.slices, f"u{number}")
        later.fence = 2
        both = threading.Barrier(2)

        with ThreadPoolExecutor(2) as pool:
            lost = pool.submit(write_unless_lost, early, OTHER, both)
            assert not pool.submit(write_unless_lost, later, CONTENT, both).result()
            lost.result()

        later.commit()
        later.finish()
        assert b"".join(stored.files.read(f"u{number}")) == CONTENT


@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
@pytest.mark.parametrize("staged", [0, 5])
def test_a_damaged_tail_is_found_before_it_is_filled_up(stored, damage, staged):
    """Else its damage would get a digest of its own, and nobody could ever tell."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[: CHUNK_BYTES + 10])
    sender.stage(CONTENT[CHUNK_BYTES + 10 :][:staged])
    tail = CONTENT[CHUNK_BYTES : CHUNK_BYTES + 10 + staged]
    stored.damage(1, {"flipped": b"\xff" + tail[1:], "cut": tail[:-1], "deleted": None}[damage])

    with pytest.raises(FileDamaged):
        sender.send(b"more")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 0),
        (5, 5),
        (0, 1),
        (10, 20),
        (0, CHUNK_BYTES),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (1, len(CONTENT)),
        (len(CONTENT) - 1, len(CONTENT)),
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_bytes_can_be_read_before_there_is_a_file(stored, start, end, checked):
    """To find out whether it is a video, to compare a checksum, to join parts."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)

    parts = list(stored.slices.read("u1", start, end, sender.digests if checked else b""))

    assert b"".join(parts) == CONTENT[start:end]
    assert all(0 < len(part) <= CHUNK_BYTES for part in parts)


def test_many_chunks_are_read_in_order(stored):
    content = CONTENT * 5
    sender = Sender(stored.slices)
    sender.send(content)

    assert b"".join(stored.slices.read("u1", 7, len(content), sender.digests)) == content[7:]


def test_what_is_staged_can_be_read(stored):
    """The checksum of a long body is compared when all of it is written."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:10])
    for part in cut(CONTENT[10:], CHUNK_BYTES):
        sender.stage(part)

    assert b"".join(stored.slices.read("u1", 10, len(CONTENT), sender.digests[:0])) == CONTENT[10:]


def test_what_was_given_up_does_not_disturb_a_reader(stored):
    """The last chunk holds more bytes than count."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[: CHUNK_BYTES + 10])
    sender.stage(OTHER)
    sender.give_up()

    assert b"".join(stored.slices.read("u1", 0, sender.offset, sender.digests)) == CONTENT[: CHUNK_BYTES + 10]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted", "emptied"])
def test_what_is_damaged_is_never_handed_out(stored, number, damage):
    """All that is read before the damage is right, and no part of the damage is read."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)
    data = cut(CONTENT, CHUNK_BYTES)[number]
    stored.damage(number, {"flipped": data[:-1] + b"\xff", "cut": data[:-1], "deleted": None, "emptied": b""}[damage])
    read: list[bytes] = []

    with pytest.raises(FileDamaged):
        read.extend(stored.slices.read("u1", 0, len(CONTENT), sender.digests))

    assert read == cut(CONTENT, CHUNK_BYTES)[:number]


@pytest.mark.parametrize("end", [len(CONTENT) + 1, 3 * CHUNK_BYTES + 1, 10**12])
@pytest.mark.parametrize("checked", [True, False])
def test_reading_past_the_end_fails(stored, end, checked):
    """Whoever does so believes in more bytes: fewer must not look like all."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)

    with pytest.raises(FileDamaged):
        list(stored.slices.read("u1", len(CONTENT) - 1, end, sender.digests if checked else b""))


@pytest.mark.parametrize("length", [len(CONTENT) - CHUNK_BYTES, len(CONTENT) + CHUNK_BYTES, 0, CHUNK_BYTES])
def test_digests_of_another_length_make_no_file(stored, length):
    """The file could never be read to its end."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)

    with pytest.raises(FileDamaged):
        stored.slices.finish(sender.held, length, sender.digests)

    with pytest.raises(FileMissing):
        stored.files.read("u1")


def test_a_damaged_tail_makes_no_file(stored):
    sender = Sender(stored.slices)
    sender.send(CONTENT)
    stored.damage(2, b"something else")

    with pytest.raises(FileDamaged):
        sender.finish()

    with pytest.raises(FileMissing):
        stored.files.read("u1")


def test_what_is_finished_can_be_finished_again(stored):
    """The function died before it could write down that it was done."""
    sender = Sender(stored.slices)
    sender.send(CONTENT)
    sender.finish()

    sender.finish()

    assert b"".join(stored.files.read("u1")) == CONTENT


def test_a_file_that_was_finished_and_then_written_to_is_right_once_it_is_finished_again(stored):
    """The function died right after, and the client sends its last slice again, but with something else in it."""
    sender = Sender(stored.slices)
    sender.send(CONTENT[:CHUNK_BYTES])
    sender.stage(CONTENT[CHUNK_BYTES:])
    whole = {**sender.committed, **sender.written}
    stored.slices.finish(sender.held, len(CONTENT), joined(whole))
    sender.give_up()

    sender.send(OTHER[:100])
    sender.finish()

    assert b"".join(stored.files.read("u1")) == CONTENT[:CHUNK_BYTES] + OTHER[:100]


def test_a_deleted_upload_leaves_nothing_and_others_stay(stored):
    growing, whole, other = (Sender(stored.slices, upload_id) for upload_id in ("u1", "u2", "u10"))
    for sender in (growing, whole, other):
        sender.send(CONTENT)
    whole.finish()
    other.finish()

    for upload_id in ("u1", "u2", "nothing"):
        stored.slices.delete(upload_id)
        stored.slices.delete(upload_id)

    with pytest.raises(FileDamaged):
        list(stored.slices.read("u1", 0, 1))
    with pytest.raises(FileMissing):
        stored.files.read("u2")
    assert stored.files.ids("u") == ["u10"]
    assert b"".join(stored.files.read("u10")) == CONTENT


def test_uploads_at_once_do_not_mix(stored):
    """One process serves many requests, each in a thread of its own."""

    def send(number: int) -> bool:
        content = random.Random(number).randbytes(2 * CHUNK_BYTES + number)
        sender = Sender(stored.slices, f"u{number}")
        sender.send(*cut(content, 300_000))
        sender.finish()
        return b"".join(stored.files.read(f"u{number}")) == content

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(send, range(8)))


class TestGridFS:
    """What only GridFS can get wrong."""

    def test_a_finished_upload_is_a_file_like_any_other(self, mongo):
        """Tools that know nothing of us read it, and find all that they find in a file that a driver has stored."""
        sender = Sender(GridFSSlices(mongo))
        sender.send(*cut(CONTENT, 1_000_000))
        sender.finish()
        bucket = GridFSBucket(mongo, "videos")
        GridFSFiles(mongo, "videos").put("theirs", [CONTENT])

        assert bucket.open_download_stream("u1").read() == CONTENT
        [ours, theirs] = (mongo.videos.files.find_one({"_id": file_id}) for file_id in ("u1", "theirs"))
        assert list(ours) == list(theirs)
        assert [type(value) for value in ours.values()] == [type(value) for value in theirs.values()]
        assert {name: ours[name] for name in ("length", "chunkSize")} == {
            name: theirs[name] for name in ("length", "chunkSize")
        }
        assert (ours["filename"], ours["metadata"]) == ("u1", {"chunk_sha256": digests_of(CONTENT)})
        assert utc_now() - timedelta(minutes=5) < ours["uploadDate"] <= utc_now()
        [ours, theirs] = (
            [(chunk["n"], chunk["data"]) for chunk in mongo.videos.chunks.find({"files_id": file_id}, sort=[("n", 1)])]
            for file_id in ("u1", "theirs")
        )
        assert ours == theirs

    def test_damage_to_a_finished_upload_is_found(self, mongo):
        """Its digests went with it. A driver alone would hand the damage out."""
        sender = Sender(GridFSSlices(mongo))
        sender.send(*cut(CONTENT, 1_000_000))
        sender.finish()
        mongo.videos.chunks.update_one({"n": 1}, {"$set": {"data": OTHER[:CHUNK_BYTES]}})

        parts = GridFSFiles(mongo, "videos").read("u1")

        assert next(parts) == CONTENT[:CHUNK_BYTES]
        with pytest.raises(FileDamaged):
            next(parts)

    @pytest.mark.parametrize("length", [0, 10, CHUNK_BYTES, CHUNK_BYTES + 10, 2 * CHUNK_BYTES])
    def test_a_driver_finds_no_chunk_too_many_and_none_too_long(self, mongo, length):
        """It takes both for damage, where a body was given up."""
        sender = Sender(GridFSSlices(mongo))
        sender.send(CONTENT[:length])
        sender.stage(OTHER)
        sender.give_up()

        sender.finish()

        assert GridFSBucket(mongo, "videos").open_download_stream("u1").read() == CONTENT[:length]
        stored = mongo.videos.chunks.aggregate([{"$group": {"_id": None, "bytes": {"$sum": {"$binarySize": "$data"}}}}])
        assert sum(group["bytes"] for group in stored) == length

    def test_finishing_again_changes_nothing(self, mongo):
        """Not even the date."""
        sender = Sender(GridFSSlices(mongo))
        sender.send(CONTENT)
        sender.finish()
        before = mongo.videos.files.find_one()

        sender.finish()

        assert mongo.videos.files.find_one() == before

    def test_a_late_finisher_does_not_change_what_another_finished(self, mongo):
        """Its digests are those of bytes that were replaced."""
        slices = GridFSSlices(mongo)
        early, later = Sender(slices), Sender(slices)
        early.send(OTHER)
        later.fence = 2
        later.send(CONTENT)
        later.finish()

        with pytest.raises(FileDamaged):
            early.finish()

        assert b"".join(GridFSFiles(mongo, "videos").read("u1")) == CONTENT

    def test_a_late_writer_adds_no_chunk_behind_what_it_may_not_replace(self, mongo):
        """Chunks behind the end of a finished file would make it unreadable."""
        slices = GridFSSlices(mongo)
        sender = Sender(slices)
        late = sender.held
        sender.give_up()
        sender.send(CONTENT[:10])
        sender.finish()

        with pytest.raises(HoldLost):
            slices.write(late, OTHER)

        assert GridFSBucket(mongo, "videos").open_download_stream("u1").read() == CONTENT[:10]

    def test_requests_that_stall_or_die_do_not_spoil_an_upload(self, mongo):
        """All that counts is what somebody committed, and exactly that; with holds that are shorter than the stalls."""
        uploads, slices = MongoUploads(mongo, hold_s=0.05), GridFSSlices(mongo)
        uploads.add(upload(length=len(CONTENT), expires_at=utc_now()))
        committed: dict[int, bytes] = {}

        def send(number: int) -> int:
            chance, lost = random.Random(number), 0
            for attempt in itertools.count():
                try:
                    held = uploads.hold("u1", f"{number}-{attempt}")
                    if held.upload.is_whole:
                        uploads.release(held)
                        return lost
                    start = held.upload.offset
                    data = chance.randbytes(chance.randrange(1, 400_000))[: len(CONTENT) - start]
                    time.sleep(chance.choice([0, 0, 0.1]))
                    digests = slices.write(held, data)
                    time.sleep(chance.choice([0, 0, 0.1]))
                    if chance.random() < 0.2:
                        continue
                    progress = Progress(start + len(data), len(CONTENT), held.upload.expires_at, digests)
                    uploads.advance(held, progress, keep=False)
                    committed[start] = data
                except HoldLost:
                    lost += 1
                except UploadLocked:
                    time.sleep(0.01)
            raise AssertionError

        with ThreadPoolExecutor(4) as pool:
            lost = sum(pool.map(send, range(4)))

        slices.finish(uploads.hold("u1", "end"), len(CONTENT), uploads.digests("u1"))
        content = b"".join(committed[start] for start in sorted(committed))
        assert GridFSBucket(mongo, "videos").open_download_stream("u1").read() == content
        assert b"".join(GridFSFiles(mongo, "videos").read("u1")) == content
        assert lost > 0

    def test_nothing_is_kept_per_slice(self, mongo):
        """An upload of many small slices takes no more room than one of few."""
        sender = Sender(GridFSSlices(mongo))
        sender.send(*cut(CONTENT[:50], 1))
        sender.finish()

        counts = {name: mongo[name].estimated_document_count() for name in mongo.list_collection_names()}
        assert {name: count for name, count in counts.items() if count} == {"videos.chunks": 1, "videos.files": 1}

    def test_a_file_of_another_writer_is_not_written_into(self, mongo):
        """A chunk that has no fence belongs to no upload."""
        files = GridFSFiles(mongo, "videos")
        files.put("u1", [CONTENT])

        with pytest.raises(HoldLost):
            GridFSSlices(mongo).write(Sender(GridFSSlices(mongo)).held, OTHER)

        assert b"".join(files.read("u1")) == CONTENT

    def test_a_large_upload_is_deleted_in_steps(self, mongo, servers):
        """MongoDB reads what it deletes: 20 GiB at once can take longer than any operation may."""
        chunks = [
            {"files_id": file_id, "n": number, "data": b""} for number in range(1_000) for file_id in ("u1", "u2")
        ]
        mongo.videos.chunks.insert_many(chunks)
        deletions = Deletions()

        with MongoClient[Document](servers.mongodb, event_listeners=[deletions]) as client:
            GridFSSlices(client[mongo.name]).delete("u1")

        assert mongo.videos.chunks.distinct("files_id") == ["u2"]
        assert sum(deletions.sizes) == 1_000
        assert max(deletions.sizes) <= 256

    def test_a_server_that_does_not_answer_is_unavailable(self):
        """Which a client may try again."""
        with MongoClient[Document]("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50) as client:
            slices = GridFSSlices(client["test"])
            begun, going_on = Sender(slices), Sender(slices)
            going_on.offset, going_on.committed = 10, {0: b""}

            for call in (
                lambda: slices.write(begun.held, CONTENT),
                lambda: slices.write(going_on.held, CONTENT),
                lambda: next(iter(slices.read("u1", 0, 1))),
                lambda: slices.finish(going_on.held, 10, bytes(32)),
                lambda: slices.delete("u1"),
            ):
                with pytest.raises(Unavailable):
                    call()


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def digests_of(content: bytes) -> bytes:
    digests = ChunkDigests()
    digests.update(content)
    return digests.digest()


def joined(digests: Mapping[int, bytes]) -> bytes:
    assert sorted(digests) == list(range(len(digests)))
    return b"".join(digests[number] for number in sorted(digests))


def write_unless_lost(sender: Sender, content: bytes, together: threading.Barrier) -> bool:
    """Write the content in slices; return whether another writer came in between."""
    together.wait(30)
    try:
        for part in cut(content, 700_000):
            sender.stage(part)
    except HoldLost:
        return True
    return False


class Deletions(CommandListener):
    """How many documents went with each deletion."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == "delete":
            self.sizes.append(event.reply["n"])

    def failed(self, event: CommandFailedEvent) -> None:
        pass


class FakeStored:
    def __init__(self) -> None:
        self.files = FakeFiles()
        self.slices = FakeSlices(self.files)

    def damage(self, number: int, data: bytes | None) -> None:
        chunks = self.slices.chunks["u1"]
        if data is None:
            del chunks[number]
        else:
            chunks[number].data = data


class GridFSStored:
    def __init__(self, database: Database[Document]) -> None:
        self._chunks = database["videos"].chunks
        self.files = GridFSFiles(database, "videos")
        self.slices = GridFSSlices(database)

    def damage(self, number: int, data: bytes | None) -> None:
        chunk = {"files_id": "u1", "n": number}
        if data is None:
            self._chunks.delete_one(chunk)
        else:
            self._chunks.update_one(chunk, {"$set": {"data": data}})
