"""What every implementation of Uploads does: the fake, and MongoDB's on a real server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Protocol

import bson
import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from functions.shared.files import CHUNK_BYTES
from functions.shared.mongo import Document
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, from_env
from functions.upload.app import Settings
from functions.upload.mongo_uploads import LARGEST_BYTES, MongoUploads
from functions.upload.uploads import (
    HOLD_S,
    Held,
    HoldLost,
    Kind,
    Progress,
    UploadExists,
    UploadLocked,
    UploadMissing,
    Uploads,
)
from tests.fakes.upload import FakeUploads
from tests.uploads import CREATED_AT, LENGTH, upload

SERVERS = {"MONGODB_URL": "mongodb://127.0.0.1", "AMQP_URL": "amqp://127.0.0.1"}
LATER = CREATED_AT + timedelta(days=2)
# Longer than any test.
LONG_S = 600


class Stored(Protocol):
    """Uploads whose holds last for LONG_S, and a hand that makes the hold of `u1` older."""

    @property
    def uploads(self) -> Uploads: ...

    def age(self, seconds: float) -> None: ...


@pytest.fixture(params=["fake", "mongo"])
def stored(request: pytest.FixtureRequest) -> Stored:
    return FakeStored() if request.param == "fake" else MongoStored(request.getfixturevalue("mongo"))


@pytest.mark.parametrize(
    "begun",
    [
        upload(),
        upload(length=None),
        upload(length=0),
        upload(kind=Kind.PARTIAL, concat="partial", metadata=""),
        upload(kind=Kind.FINAL, concat="final;/v1/uploads/a /v1/uploads/b", parts=("a", "b", "a")),
    ],
    ids=["whole", "deferred", "empty", "partial", "final"],
)
def test_an_upload_comes_back_as_it_was_added(stored, begun):
    stored.uploads.add(begun)

    assert stored.uploads.get("u1") == begun
    assert stored.uploads.hold("u1", "t1") == Held(begun, "t1", 1, 0, b"")
    assert stored.uploads.digests("u1") == b""


def test_an_id_is_given_once(stored):
    """Two uploads under one id would write into each other's bytes, also if one was deleted and its writer is late."""
    stored.uploads.add(upload())

    with pytest.raises(UploadExists):
        stored.uploads.add(upload(length=1))
    assert stored.uploads.get("u1") == upload()

    stored.uploads.delete("u1")
    with pytest.raises(UploadExists):
        stored.uploads.add(upload())


def test_what_is_watched_is_no_upload(stored):
    """The bytes are those of a form, and nobody may add to them."""
    stored.uploads.watch("u1")
    stored.uploads.watch("u1")

    with pytest.raises(UploadMissing):
        stored.uploads.get("u1")
    with pytest.raises(UploadExists):
        stored.uploads.add(upload())


@pytest.mark.parametrize(
    "ask",
    [
        lambda uploads: uploads.get("u1"),
        lambda uploads: uploads.hold("u1", "t1"),
        lambda uploads: uploads.digests("u1"),
    ],
    ids=["get", "hold", "digests"],
)
@pytest.mark.parametrize("deleted", [True, False])
def test_what_is_not_there_is_missing(stored, ask, deleted):
    """Also if it was there once."""
    if deleted:
        stored.uploads.add(upload())
        stored.uploads.delete("u1")
    stored.uploads.add(upload("u10"))

    with pytest.raises(UploadMissing):
        ask(stored.uploads)


def test_deleting_what_is_not_there_does_nothing(stored):
    """Deletion is repeated after a lost answer."""
    stored.uploads.delete("u1")
    stored.uploads.add(upload())
    stored.uploads.delete("u1")
    stored.uploads.delete("u1")

    with pytest.raises(UploadMissing):
        stored.uploads.get("u1")


def test_what_one_request_holds_no_other_can(stored):
    """Two PATCHes at once: one is told 204, one 423."""
    stored.uploads.add(upload())
    stored.uploads.hold("u1", "t1")

    with pytest.raises(UploadLocked):
        stored.uploads.hold("u1", "t2")


def test_only_one_of_many_requests_gets_the_hold(stored):
    stored.uploads.add(upload())
    everybody = threading.Barrier(8)

    def is_held(number: int) -> bool:
        everybody.wait(30)
        try:
            stored.uploads.hold("u1", f"t{number}")
        except UploadLocked:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_held, range(8))) == 1


def test_the_slices_of_one_request_share_its_hold(stored):
    """A long body comes in many slices, each an event of its own. Nobody may come in between."""
    stored.uploads.add(upload())
    first = stored.uploads.hold("u1", "t1")
    stored.uploads.stage(first, 100)

    assert stored.uploads.hold("u1", "t1") == first._replace(staged=100, fence=first.fence + 1)


def test_a_slice_that_is_sent_again_fences_its_first_try_out(stored):
    """Both have the token of their request. The first may only be slow, and write when others have come after it."""
    stored.uploads.add(upload())
    first = stored.uploads.hold("u1", "t1")

    second = stored.uploads.hold("u1", "t1")

    assert second.fence > first.fence
    with pytest.raises(HoldLost):
        stored.uploads.advance(first, progress(10), keep=True)
    stored.uploads.release(first)
    stored.uploads.advance(second, progress(10), keep=True)


@pytest.mark.parametrize("renew", ["hold", "stage", "advance"])
def test_every_sign_of_life_prolongs_the_hold(stored, renew):
    """A body that takes hours is held for seconds at a time."""
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")
    stored.age(LONG_S - 60)

    if renew == "hold":
        stored.uploads.hold("u1", "t1")
    elif renew == "stage":
        stored.uploads.stage(held, 10)
    else:
        stored.uploads.advance(held, progress(0), keep=True)

    stored.age(LONG_S - 60)
    with pytest.raises(UploadLocked):
        stored.uploads.hold("u1", "t2")


def test_after_its_time_another_request_can_take_the_upload(stored):
    """The function died in the middle. What it had staged does not count, and what it still writes is fenced off."""
    stored.uploads.add(upload())
    dead = stored.uploads.hold("u1", "t1")
    stored.uploads.stage(dead, 100)
    stored.age(LONG_S)

    taken = stored.uploads.hold("u1", "t2")

    assert (taken.token, taken.staged) == ("t2", 0)
    assert taken.fence > dead.fence


def test_a_hold_that_ran_out_is_good_while_nobody_wants_it(stored):
    """A slow disk alone is no reason to send everything again."""
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")
    stored.age(LONG_S * 2)

    stored.uploads.stage(held, 10)
    stored.age(LONG_S * 2)
    stored.uploads.advance(held, progress(10), keep=False)

    assert stored.uploads.get("u1").offset == 10


@pytest.mark.parametrize(
    "write",
    [
        lambda uploads, lost: uploads.stage(lost, 10),
        lambda uploads, lost: uploads.advance(lost, progress(10), keep=True),
        lambda uploads, lost: uploads.advance(lost, progress(10), keep=False),
    ],
    ids=["stage", "keep", "advance"],
)
@pytest.mark.parametrize("how", ["taken over", "released", "deleted", "taken over and released"])
def test_who_does_not_hold_an_upload_can_write_nothing(stored, write, how):
    """A request that stalled wakes up, and believes that it still holds the upload."""
    stored.uploads.add(upload())
    lost = stored.uploads.hold("u1", "t1")
    if how == "released":
        stored.uploads.release(lost)
    if how.startswith("taken over"):
        stored.age(LONG_S)
        taken = stored.uploads.hold("u1", "t2")
        if how.endswith("released"):
            stored.uploads.release(taken)
    if how == "deleted":
        stored.uploads.delete("u1")

    with pytest.raises(HoldLost):
        write(stored.uploads, lost)

    if how != "deleted":
        assert stored.uploads.get("u1") == upload()
        assert stored.uploads.digests("u1") == b""


def test_a_released_upload_is_free_and_nothing_is_staged(stored):
    """A request that failed does not make the next one wait."""
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")
    stored.uploads.stage(held, 10)

    stored.uploads.release(held)

    assert stored.uploads.hold("u1", "t1").staged == 0


def test_who_lost_a_hold_does_not_release_the_next_ones(stored):
    """It cleans up as it dies, and somebody else is at work."""
    stored.uploads.add(upload())
    lost = stored.uploads.hold("u1", "t1")
    stored.age(LONG_S)
    stored.uploads.hold("u1", "t2")

    stored.uploads.release(lost)

    with pytest.raises(UploadLocked):
        stored.uploads.hold("u1", "t3")


@pytest.mark.parametrize("keep", [True, False])
def test_progress_is_committed_with_all_that_belongs_to_it(stored, keep):
    """Offset, length, digests and the new expiry are one write: nothing can die in between."""
    stored.uploads.add(upload(length=None))
    held = stored.uploads.hold("u1", "t1")
    stored.uploads.stage(held, CHUNK_BYTES + 5)

    stored.uploads.advance(held, Progress(CHUNK_BYTES + 5, LENGTH, LATER, {0: digest(0), 1: digest(1)}), keep=keep)

    assert stored.uploads.get("u1") == upload(offset=CHUNK_BYTES + 5, expires_at=LATER)
    assert stored.uploads.digests("u1") == digest(0) + digest(1)
    again = stored.uploads.hold("u1", "t1")
    assert (again.staged, again.tail_sha256) == (0, digest(1))


def test_progress_lets_go_unless_the_request_goes_on(stored):
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")

    stored.uploads.advance(held, progress(10), keep=True)
    with pytest.raises(UploadLocked):
        stored.uploads.hold("u1", "t2")

    stored.uploads.advance(held, progress(20), keep=False)
    assert stored.uploads.hold("u1", "t2").upload.offset == 20


def test_a_tail_that_grows_has_a_new_digest_each_time(stored):
    """And none is told of a chunk that is full, since nobody fills it up."""
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")
    tails = []
    for offset, digests in [
        (10, {0: digest(0)}),
        (CHUNK_BYTES - 1, {0: digest(1)}),
        (CHUNK_BYTES, {0: digest(2)}),
        (3 * CHUNK_BYTES + 1, {1: digest(3), 2: digest(4), 3: digest(5)}),
        (4 * CHUNK_BYTES, {3: digest(6)}),
    ]:
        stored.uploads.advance(held, Progress(offset, LENGTH, LATER, digests), keep=True)
        held = stored.uploads.hold("u1", "t1")
        tails.append(held.tail_sha256)

    assert tails == [digest(0), digest(1), b"", digest(5), b""]
    assert stored.uploads.digests("u1") == b"".join(digest(number) for number in (2, 3, 4, 6))


def test_progress_that_is_repeated_after_a_lost_answer_changes_nothing(stored):
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")

    for _ in range(2):
        stored.uploads.advance(held, Progress(10, LENGTH, LATER, {0: digest(0)}), keep=True)

    assert stored.uploads.get("u1").offset == 10
    assert stored.uploads.digests("u1") == digest(0)


def test_an_offset_never_goes_back(stored):
    """A slice that was given up and sent again ends after all, when the next has come: its bytes are long counted."""
    stored.uploads.add(upload())
    held = stored.uploads.hold("u1", "t1")
    stored.uploads.advance(held, Progress(20, LENGTH, LATER, {0: digest(0)}), keep=True)

    with pytest.raises(HoldLost):
        stored.uploads.advance(held, Progress(10, LENGTH, LATER, {0: digest(1)}), keep=True)

    assert stored.uploads.get("u1").offset == 20
    assert stored.uploads.digests("u1") == digest(0)


def test_requests_that_take_turns_lose_no_progress(stored):
    """Many at once, each of which adds one byte as soon as it gets the upload."""
    stored.uploads.add(upload())

    def add_one(number: int) -> Any:
        while True:
            try:
                held = stored.uploads.hold("u1", f"t{number}")
            except UploadLocked:
                continue
            stored.uploads.advance(held, progress(held.upload.offset + 1), keep=False)
            return held.fence

    with ThreadPoolExecutor(4) as pool:
        fences = list(pool.map(add_one, range(40)))

    assert stored.uploads.get("u1").offset == 40
    assert sorted(fences) == list(range(1, 41))


def test_the_digests_of_the_largest_upload_fit_into_one_document():
    """Else it would fail after hours, close to its end. A deployment that wants larger ones is told at its start."""
    document = {"chunk_sha256": [bytes(32)] * (LARGEST_BYTES // CHUNK_BYTES)}

    assert len(bson.encode(document)) < 15 * 1024**2
    from_env(Settings, {**SERVERS, "MAX_UPLOAD_BYTES": str(LARGEST_BYTES)})
    with pytest.raises(InvalidSettings, match="MAX_UPLOAD_BYTES"):
        from_env(Settings, {**SERVERS, "MAX_UPLOAD_BYTES": str(LARGEST_BYTES + 1)})


def test_uploads_do_not_mix(stored):
    stored.uploads.add(upload("u1"))
    stored.uploads.add(upload("u2"))
    held = stored.uploads.hold("u1", "t1")

    stored.uploads.advance(held, Progress(10, LENGTH, LATER, {0: digest(0)}), keep=False)
    stored.uploads.hold("u2", "t1")
    stored.uploads.delete("u1")

    assert stored.uploads.get("u2") == upload("u2")
    assert stored.uploads.digests("u2") == b""


class TestMongo:
    """What only MongoDB can get wrong."""

    def test_a_hold_lasts_for_as_long_as_is_said(self, mongo):
        uploads = MongoUploads(mongo)
        uploads.add(upload())
        uploads.hold("u1", "t1")
        with pytest.raises(UploadLocked):
            uploads.hold("u1", "t2")

        set_hold_back(mongo, HOLD_S)

        assert uploads.hold("u1", "t2").fence == 2

    @pytest.mark.parametrize("token", ["$hold.token", "$$NOW", "", "a.b"])
    def test_a_token_is_nothing_but_text(self, mongo, token):
        """It is used in expressions, and comes from outside."""
        uploads = MongoUploads(mongo)
        uploads.add(upload())
        uploads.hold("u1", "t1")

        with pytest.raises(UploadLocked):
            uploads.hold("u1", token)

        uploads.add(upload("u2"))
        uploads.advance(uploads.hold("u2", token), progress(5), keep=False)
        assert uploads.get("u2").offset == 5

    def test_nothing_of_the_person_stays(self, mongo):
        """A tombstone is for sweep alone."""
        uploads = MongoUploads(mongo)
        uploads.add(upload())

        uploads.delete("u1")

        document = mongo.uploads.find_one({"_id": "u1"})
        assert document.keys() == {"_id", "deleted_at", "expires_at"}

    def test_the_digests_of_a_long_upload_stay_where_they_are(self, mongo, servers):
        """With 20 GiB they are a megabyte, which must not travel with every slice."""
        client: MongoClient[Document] = MongoClient(servers.mongodb, tz_aware=True, event_listeners=[sizes := Sizes()])
        chunks = LENGTH // CHUNK_BYTES
        with client:
            uploads = MongoUploads(client[mongo.name])
            uploads.add(upload())
            held = uploads.hold("u1", "t1")
            many = {number: digest(number) for number in range(chunks - 4)}
            uploads.advance(held, Progress((chunks - 4) * CHUNK_BYTES, LENGTH, LATER, many), keep=False)
            sizes.seen.clear()

            held = uploads.hold("u1", "t2")
            uploads.stage(held, 10)
            last = {number: digest(number) for number in range(chunks - 4, chunks)}
            uploads.advance(held, Progress(LENGTH, LENGTH, LATER, last), keep=True)
            uploads.get("u1")
            uploads.release(held)

            assert max(sizes.seen) < 4_000
            assert uploads.digests("u1") == b"".join({**many, **last}.values())
            assert uploads.get("u1").is_whole

    def test_a_server_that_does_not_answer_is_unavailable(self):
        """Which a client may try again."""
        with MongoClient[Document]("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=50) as client:
            uploads = MongoUploads(client["test"])
            held = Held(upload(), "t1", 1, 0, b"")

            for call in (
                lambda: uploads.add(upload()),
                lambda: uploads.get("u1"),
                lambda: uploads.hold("u1", "t1"),
                lambda: uploads.stage(held, 1),
                lambda: uploads.advance(held, progress(1), keep=False),
                lambda: uploads.release(held),
                lambda: uploads.digests("u1"),
                lambda: uploads.delete("u1"),
            ):
                with pytest.raises(Unavailable):
                    call()


def progress(offset: int) -> Progress:
    """Return progress within the first chunk that changes nothing but the offset."""
    return Progress(offset, LENGTH, upload().expires_at, {0: digest(0)} if offset else {})


def digest(number: int) -> bytes:
    return number.to_bytes(4, "big") * 8


class FakeStored:
    def __init__(self) -> None:
        self.uploads = FakeUploads(hold_s=LONG_S)

    def age(self, seconds: float) -> None:
        record = self.uploads.records["u1"]
        assert record.held_until is not None
        record.held_until -= timedelta(seconds=seconds)


class MongoStored:
    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self.uploads = MongoUploads(database, hold_s=LONG_S)

    def age(self, seconds: float) -> None:
        set_hold_back(self._database, seconds)


def set_hold_back(database: Database[Document], seconds: float) -> None:
    renewed_at = {"$subtract": ["$hold.renewed_at", round(seconds * 1000)]}
    assert database.uploads.update_one({"_id": "u1"}, [{"$set": {"hold.renewed_at": renewed_at}}]).modified_count


class Sizes(CommandListener):
    """How many bytes went to the server and came back, by command."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.seen.append(len(bson.encode(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self.seen.append(len(bson.encode(event.reply)))

    def failed(self, event: CommandFailedEvent) -> None:
        pass
