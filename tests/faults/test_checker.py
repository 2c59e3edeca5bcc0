"""The checker finds what it is there to find: a verdict of "lost 0" says nothing if it could say nothing else."""

from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from gridfs import GridFSBucket
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.conversions import OWNER
from tests.faults.checker import Accepted, Checker, Verdict
from tests.stored_mp3s import store_mp3
from tests.tus import sha256

VIDEO = b"a video"
NAME = "person-1-0001.mp4"
Plant = Callable[[Database[Document], Path, str], object]


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def accepted(mongo: Database[Document], outbox: Path) -> Accepted:
    """A video that was converted as it should be, and whose owner was told."""
    conversion_id = store_mp3(mongo, OWNER, [b"an MP3"], NAME)
    GridFSBucket(mongo, bucket_name="videos").upload_from_stream_with_id(conversion_id, NAME, VIDEO)
    mail(outbox, "event-1")
    return Accepted(conversion_id, NAME, sha256(VIDEO), seconds=1.0, failures=frozenset(), deleted=False)


def mail(outbox: Path, event_id: str, subject: str = f"Your MP3 is ready: {NAME}") -> None:
    letter = EmailMessage()
    letter["Subject"] = subject
    letter["Message-ID"] = f"<{event_id}@localhost>"
    (outbox / f"{len(list(outbox.iterdir()))}-{event_id}.eml").write_bytes(letter.as_bytes())


def _changed(**changes: object) -> Plant:
    return lambda mongo, _, conversion_id: mongo.conversions.update_one({"_id": conversion_id}, {"$set": changes})


def _without(collection: str) -> Plant:
    return lambda mongo, _outbox, _id: mongo[collection].delete_many({})


def _with_file(bucket: str, file_id: str) -> Plant:
    def plant(mongo: Database[Document], _: Path, conversion_id: str) -> None:
        name = file_id.format(conversion_id)
        GridFSBucket(mongo, bucket_name=bucket).upload_from_stream_with_id(name, name, b"an MP3")

    return plant


def _with_other_bytes(bucket: str) -> Plant:
    return lambda mongo, _outbox, _id: mongo[f"{bucket}.chunks"].update_many({}, {"$set": {"data": b"A video"}})


def _second_conversion(mongo: Database[Document], outbox: Path, conversion_id: str) -> None:
    document = mongo.conversions.find_one({"_id": conversion_id})
    assert document is not None
    mongo.conversions.insert_one({**document, "_id": "another"})


def _second_letter(mongo: Database[Document], outbox: Path, conversion_id: str) -> None:
    mail(outbox, "event-2")


def _no_letter(mongo: Database[Document], outbox: Path, conversion_id: str) -> None:
    for path in outbox.glob("*.eml"):
        path.unlink()


def test_a_conversion_that_is_as_it_should_be_is_found_so(mongo: Database[Document], outbox: Path, accepted: Accepted):
    """Or the checker would be one that always finds something."""
    verdict = Checker(mongo, outbox).look_at_all([accepted])

    assert (verdict.is_clean, verdict.untold, verdict.ends) == (True, [], {"completed": 1}), verdict.reasons


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        pytest.param(_without("conversions"), "lost", id="the conversion is gone"),
        pytest.param(_without("mp3s.files"), "lost", id="the MP3 is gone"),
        pytest.param(_with_other_bytes("mp3s"), "lost", id="the MP3 has other bytes"),
        pytest.param(_without("mp3s.chunks"), "lost", id="the MP3 has no bytes"),
        pytest.param(_without("videos.files"), "lost", id="the video is gone"),
        pytest.param(_with_other_bytes("videos"), "lost", id="the video has other bytes"),
        pytest.param(_changed(**{"mp3.duration_s": 0.5}), "lost", id="the MP3 is of half the sound"),
        pytest.param(_changed(deleted_at="now"), "lost", id="it was deleted, and nobody asked"),
        pytest.param(_changed(state="failed", error={"type": "no-audio-track"}), "lost", id="failed without reason"),
        pytest.param(_changed(state="queued"), "stuck", id="queued for ever"),
        pytest.param(_changed(state="converting"), "stuck", id="converting for ever"),
        pytest.param(_with_file("mp3s", "{}-2"), "duplicated", id="a second MP3"),
        pytest.param(_with_file("mp3s", "unknown-1"), "duplicated", id="an MP3 of which nobody knows"),
        pytest.param(_second_conversion, "duplicated", id="a second conversion"),
        pytest.param(_second_letter, "duplicated", id="a second letter"),
        pytest.param(_no_letter, "untold", id="no letter"),
    ],
)
def test_what_is_planted_is_found(
    mongo: Database[Document], outbox: Path, accepted: Accepted, plant: Plant, found: str
):
    """Each of these is what a fault could do."""
    plant(mongo, outbox, accepted.id)

    verdict = Checker(mongo, outbox).look_at_all([accepted])

    assert _lists(verdict)[found], verdict.reasons


@pytest.mark.parametrize("owed", [{"untold": {"event": {}}}, {"pending_events": [{}]}], ids=["untold", "an event"])
def test_who_waits_is_told_of_what_is_owed_still(
    mongo: Database[Document], outbox: Path, accepted: Accepted, owed: Document
):
    """At one moment that is no fault, for somebody will see to it. For ever it is."""
    told = {"notices": [{"event_id": "event-1"}]}
    mongo.conversions.update_one({"_id": accepted.id}, {"$set": {**told, **owed}})
    checker = Checker(mongo, outbox)

    assert checker.look([accepted.id]).untold == []
    assert checker.wait([accepted.id], within_s=0.1).untold == [accepted.id]


def test_a_letter_that_came_again_is_counted_and_is_no_second_one(
    mongo: Database[Document], outbox: Path, accepted: Accepted
):
    """It has the same Message-ID: whoever sent it died before he could note it."""
    mail(outbox, "event-1")

    verdict = Checker(mongo, outbox).look_at_all([accepted])

    assert (verdict.is_clean, verdict.repeated_letters) == (True, 1), verdict.reasons


def test_who_tries_again_is_told_of_each_end(mongo: Database[Document], outbox: Path, accepted: Accepted):
    """The first end was a failure, and a failure is told of."""
    mail(outbox, "event-0", f"Your video could not be converted: {NAME}")
    accepted.retries = 1

    assert Checker(mongo, outbox).look_at_all([accepted]).is_clean


def test_an_mp3_unlike_that_of_the_same_video_is_found(mongo: Database[Document], outbox: Path, accepted: Accepted):
    """Its digest is right, and so is its length: only another conversion of the same bytes tells that it is wrong."""
    for part in (b"an MP3", b"an mp3"):
        store_mp3(mongo, OWNER, [part], "another.mp4")

    verdict = Checker(mongo, outbox).look_at_all([accepted])

    assert len(verdict.lost) == 1, verdict.reasons


def test_a_deletion_that_was_acknowledged_stays(mongo: Database[Document], outbox: Path, accepted: Accepted):
    """What came back from the dead is no less a loss than what went."""
    accepted.deleted = True

    assert Checker(mongo, outbox).look_at_all([accepted]).lost == [accepted.id]


def _lists(verdict: Verdict) -> dict[str, list[str]]:
    return {
        "lost": verdict.lost,
        "stuck": verdict.stuck,
        "duplicated": verdict.duplicated,
        "untold": verdict.untold,
    }
