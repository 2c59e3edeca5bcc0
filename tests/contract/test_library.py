"""What every implementation of Library does: the fake, and MongoDB's on a real server."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from functions.convert.mongo_claims import MongoClaims
from functions.download.library import Library, NotFailedState, Position
from functions.download.mongo_library import MongoLibrary
from functions.notify.mongo_notices import MongoNotices
from functions.shared.conversions import Conversion, ConversionMissing, Conversions, Failure, Owner, State, Video
from functions.shared.events import Event, EventName, Outbox
from functions.shared.mongo import to_conversion
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from tests.conversions import NOW, OWNER, conversion, event
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.download import FakeLibrary
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeOutbox

LATER = NOW + timedelta(minutes=1)
STRANGER = Owner(id="owner-2", email="eve@example.com")
FAILURE = Failure(type="no-audio-track", title="The video has no sound", detail="There is nothing to hear.")


@dataclass
class Stored:
    library: Library
    conversions: Conversions
    outbox: Outbox
    kept: Callable[[str], Conversion]

    def owed(self) -> list[Event]:
        return [event for name in EventName for event in self.outbox.owed(name, 10)]


@pytest.fixture(params=["fake", "mongo"])
def stored(request):
    if request.param == "fake":
        database = FakeDatabase()
        return Stored(
            FakeLibrary(database),
            FakeConversions(database),
            FakeOutbox(database),
            lambda conversion_id: database.records[conversion_id].conversion,
        )
    mongo = request.getfixturevalue("mongo")
    return Stored(
        MongoLibrary(mongo),
        MongoConversions(mongo),
        MongoOutbox(mongo),
        lambda conversion_id: to_conversion(mongo.conversions.find_one({"_id": conversion_id})),
    )


def ids(conversions: list[Conversion]) -> list[str]:
    return [conversion.id for conversion in conversions]


def test_a_person_sees_their_own_newest_first(stored):
    stored.conversions.add(conversion("c1", created_at=NOW), [])
    stored.conversions.add(conversion("c2", created_at=LATER), [])
    stored.conversions.add(conversion("c3", owner=STRANGER), [])

    assert ids(stored.library.newest(OWNER.id, None, 10, None)) == ["c2", "c1"]
    assert ids(stored.library.newest("nobody", None, 10, None)) == []


def test_of_the_same_moment_the_greater_id_comes_first(stored):
    """Some order there must be, and always the same, or a cursor skips one."""
    for conversion_id in ("c2", "c3", "c1"):
        stored.conversions.add(conversion(conversion_id), [])

    assert ids(stored.library.newest(OWNER.id, None, 10, None)) == ["c3", "c2", "c1"]
    assert ids(stored.library.newest(OWNER.id, None, 10, Position(NOW, "c3"))) == ["c2", "c1"]


def test_a_list_goes_on_after_a_position(stored):
    """Even if the conversion of that position was deleted."""
    for number in range(4):
        stored.conversions.add(conversion(f"c{number}", created_at=NOW + timedelta(milliseconds=number)), [])
    after = Position(NOW + timedelta(milliseconds=2), "c2")
    stored.library.delete("c2", NOW)

    assert ids(stored.library.newest(OWNER.id, None, 10, after)) == ["c1", "c0"]


def test_a_list_is_no_longer_than_its_limit(stored):
    for number in range(3):
        stored.conversions.add(conversion(f"c{number}"), [])

    assert ids(stored.library.newest(OWNER.id, None, 2, None)) == ["c2", "c1"]


@pytest.mark.parametrize("state", State)
def test_a_list_can_be_of_one_state(stored, state):
    for each in State:
        stored.conversions.add(conversion(f"c-{each}", state=each), [])

    assert ids(stored.library.newest(OWNER.id, state, 10, None)) == [f"c-{state}"]


def test_several_are_found_at_once_regardless_of_their_owner(stored):
    """Whose they are is for the rules to look at: a link shows them to somebody who owns none."""
    for conversion_id, owner in (("c1", OWNER), ("c2", STRANGER), ("c3", OWNER), ("c4", OWNER)):
        stored.conversions.add(conversion(conversion_id, owner=owner), [])
    stored.library.delete("c3", LATER)

    found = stored.library.find(["c3", "c2", "no-such-id", "c1", "c1"])

    assert {entry.conversion.id: entry.mp3_file_id for entry in found} == {"c1": None, "c2": None}
    assert stored.library.find([]) == []


def test_an_entry_holds_the_conversion_and_no_mp3_at_first(stored):
    stored.conversions.add(conversion(), [])

    assert stored.library.get("c1") == (conversion(), None)


def test_what_is_missing_is_missing_for_every_method(stored):
    with pytest.raises(ConversionMissing):
        stored.library.get("c1")
    with pytest.raises(ConversionMissing):
        stored.library.delete("c1", NOW)
    with pytest.raises(ConversionMissing):
        stored.library.retry("c1", [], NOW)


@pytest.mark.parametrize("state", State)
def test_what_was_deleted_is_missing_everywhere(stored, state):
    stored.conversions.add(conversion(state=state), [event()])

    stored.library.delete("c1", LATER)

    with pytest.raises(ConversionMissing):
        stored.library.get("c1")
    with pytest.raises(ConversionMissing):
        stored.library.delete("c1", LATER)
    with pytest.raises(ConversionMissing):
        stored.library.retry("c1", [event()], LATER)
    with pytest.raises(ConversionMissing):
        stored.conversions.get("c1")
    assert stored.library.newest(OWNER.id, None, 10, None) == []
    assert stored.owed() == []


@pytest.mark.parametrize("ended", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_what_was_deleted_says_nothing_of_its_owner_and_of_the_video(stored, ended):
    """Who deletes a thing trusts that it is deleted. What is left still reads as a conversion."""
    stored.conversions.add(ended, [])

    stored.library.delete("c1", LATER)

    assert stored.kept("c1") == conversion(
        owner=Owner(id="", email=""),
        filename="",
        video=Video(bytes=0, sha256=""),
        state=ended.state,
        progress=ended.progress,
        attempts=ended.attempts,
        completed_at=NOW,
        updated_at=LATER,
    )


def test_a_failed_conversion_goes_back_to_its_beginning(stored):
    """And owes what a new one owes, in the same write."""
    told, uploaded = event(), event()
    failed = conversion(state=State.FAILED, error=FAILURE, attempts=3, progress=0.4, completed_at=NOW)
    stored.conversions.add(failed, [told])

    retried = stored.library.retry("c1", [uploaded], LATER)

    assert retried == conversion(updated_at=LATER)
    assert stored.conversions.get("c1") == retried
    assert stored.owed() == [told, uploaded]


@pytest.mark.parametrize("state", [state for state in State if state is not State.FAILED])
def test_only_what_failed_goes_back(stored, state):
    """Whatever was asked before, another request may have come first."""
    stored.conversions.add(conversion(state=state), [])

    with pytest.raises(NotFailedState) as refusal:
        stored.library.retry("c1", [event()], LATER)

    assert refusal.value.state == state
    assert stored.conversions.get("c1") == conversion(state=state)
    assert stored.owed() == []


@pytest.mark.parametrize(
    ("state", "left"),
    [("queued", "cancelled"), ("converting", "cancelled"), ("completed", "completed"), ("failed", "failed")],
)
def test_a_tombstone_remains(mongo, state, left):
    """Late messages and workers see by it that it is over, and sweep that files may be left."""
    told = event(EventName.CONVERSION_FAILED)
    MongoConversions(mongo).add(conversion(state=State(state)), [told])
    MongoNotices(mongo, timedelta(minutes=1), lambda: "claim-1").claim(told)

    MongoLibrary(mongo).delete("c1", LATER)

    document = mongo.conversions.find_one({"_id": "c1"})
    assert (document["state"], document["deleted_at"], document["updated_at"]) == (left, LATER, LATER)
    assert (document["lease"], document["pending_events"]) == (None, [])
    assert "notices" not in document
    assert OWNER.email not in str(document)


def test_a_deleted_conversion_cannot_be_claimed(mongo):
    """Its message may still be in the queue."""
    MongoConversions(mongo).add(conversion(), [])
    MongoLibrary(mongo).delete("c1", LATER)

    assert MongoClaims(mongo, lease_s=60).claim("c1", "w1") is None


def test_lists_are_read_from_the_index(mongo):
    """A person with many conversions must not slow down the others."""
    MongoConversions(mongo).add(conversion(), [])
    plan = mongo.command(
        "explain",
        {"find": "conversions", "filter": {"owner.id": "x", "deleted_at": None}, "sort": {"created_at": -1, "_id": -1}},
    )

    assert "'stage': 'IXSCAN'" in str(plan["queryPlanner"]["winningPlan"])
    assert "'stage': 'SORT'" not in str(plan["queryPlanner"]["winningPlan"])


def test_several_are_found_by_one_question_that_reads_nothing_else(mongo):
    """A page asks this every second for as long as something moves, beside a library of any size."""
    for number in range(300):
        MongoConversions(mongo).add(conversion(f"c{number}"), [])
    wanted = [f"c{number}" for number in range(100, 200)]
    mongo.command("profile", 2)

    found = MongoLibrary(mongo).find(wanted)

    mongo.command("profile", 0)
    asked = list(mongo.system.profile.find({"ns": f"{mongo.name}.conversions"}))
    assert sorted(entry.conversion.id for entry in found) == wanted
    assert [(each["op"], each["planSummary"], each["docsExamined"]) for each in asked] == [
        ("query", "IXSCAN { _id: 1 }", 100)
    ]
