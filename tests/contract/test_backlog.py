"""What sweep sees of what waits, in the real MongoDB and the real RabbitMQ."""

from datetime import timedelta

import pika
import pytest
from pymongo.database import Database

from functions.shared.conversions import Conversion, State
from functions.shared.events import Event, EventName
from functions.shared.mongo import Document, to_builtins, to_document
from functions.sweep import backlog
from functions.sweep.backlog import Backlog, NothingWaits, Waiting
from functions.sweep.mongo_backlog import MongoBacklog
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.rabbit_queues import queue_lengths
from infra.rabbitmq.topology import ARGUMENTS, CONVERSIONS
from tests.conversions import conversion, event
from tests.tus import until

DAYS = timedelta(days=3)


def keep(database: Database[Document], kept: Conversion, owed: list[Event], ago_s: float, **more: object) -> None:
    """Keep a conversion that changed so long ago, by the server's clock."""
    database.conversions.insert_one({**to_document(kept, owed), **more})
    time = {"$subtract": ["$$NOW", int(ago_s * 1000)]}
    times = ["updated_at", "queued_at", "announced_at", *(["completed_at"] if "untold" in more else [])]
    database.conversions.update_one({"_id": kept.id}, [{"$set": dict.fromkeys(times, time)}])


def seconds(waiting: Waiting) -> float:
    """Cut what time the test itself took."""
    return waiting.oldest_s // 10 * 10


@pytest.mark.parametrize("waits", ["nothing", "mongo"])
def test_where_nothing_waits_all_is_zero(waits: str, request: pytest.FixtureRequest):
    """Who watches wants to see that it was looked at."""
    looked: Backlog = NothingWaits() if waits == "nothing" else MongoBacklog(request.getfixturevalue("mongo"))

    seen = [looked.in_state(State.QUEUED), looked.in_state(State.CONVERTING), looked.owing(), looked.untold(DAYS)]
    assert seen == [Waiting(0, 0.0)] * 4


def test_the_queued_are_counted_and_the_first_is_timed(mongo):
    """How long people wait is said by the one that has waited longest."""
    keep(mongo, conversion("c1"), [], 20)
    keep(mongo, conversion("c2"), [], 300)
    keep(mongo, conversion("c3", state=State.CONVERTING), [], 40)
    keep(mongo, conversion("c4", state=State.COMPLETED), [], 9000)

    queued, converting = (MongoBacklog(mongo).in_state(each) for each in (State.QUEUED, State.CONVERTING))

    assert (queued.number, seconds(queued)) == (2, 300)
    assert (converting.number, seconds(converting)) == (1, 40)


def test_an_announcement_does_not_shorten_the_wait(mongo):
    """A video has waited since its upload, however often sweep has announced it."""
    keep(mongo, conversion(), [], 1000)
    announced = MongoStalledConversions(mongo).reannounce(1, lambda _: event(), timedelta(minutes=15))

    queued = MongoBacklog(mongo).in_state(State.QUEUED)

    assert len(announced) == 1
    assert seconds(queued) == 1000


def test_the_owed_are_counted_over_all_names(mongo):
    """A queue that is missing holds up the events of one name."""
    keep(mongo, conversion("c1"), [event()], 100)
    keep(mongo, conversion("c2"), [event(EventName.CONVERSION_FAILED, "c2")], 500)
    keep(mongo, conversion("c3"), [], 900)

    owing = MongoBacklog(mongo).owing()

    assert (owing.number, seconds(owing)) == (2, 500)


def test_only_those_are_untold_whom_somebody_still_tells(mongo):
    """An older letter would only puzzle, and nobody sends it."""
    untold = {"event": to_builtins(event(EventName.CONVERSION_COMPLETED)), "owed_at": None}
    keep(mongo, conversion("c1", state=State.COMPLETED), [], 200, untold=untold)
    keep(mongo, conversion("c2", state=State.COMPLETED), [], DAYS.total_seconds() + 60, untold=untold)
    keep(mongo, conversion("c3", state=State.COMPLETED), [], 900)

    seen = MongoBacklog(mongo).untold(DAYS)

    assert (seen.number, seconds(seen)) == (1, 200)


def test_no_count_goes_on_for_ever(mongo, monkeypatch: pytest.MonkeyPatch):
    """After an outage of a day there may be millions."""
    monkeypatch.setattr("functions.sweep.mongo_backlog.COUNTED", 3)
    for number in range(5):
        owed = [event(name, f"c{number}") for name in EventName]
        keep(mongo, conversion(f"c{number}"), owed, 60)

    assert backlog.COUNTED == 10_000
    assert MongoBacklog(mongo).in_state(State.QUEUED).number == 3
    assert MongoBacklog(mongo).owing().number == 3


def test_the_questions_are_answered_by_their_indexes(mongo):
    """They are asked each minute, of a collection that grows."""
    untold = {"event": to_builtins(event(EventName.CONVERSION_COMPLETED)), "owed_at": None}
    for number in range(50):
        owed = [event(conversion_id=f"c{number}")] if number == 0 else []
        keep(mongo, conversion(f"c{number}"), owed, number, **({"untold": untold} if number == 1 else {}))
    looked = MongoBacklog(mongo)
    mongo.command("profile", 2)

    looked.in_state(State.QUEUED)
    looked.owing()
    looked.untold(DAYS)

    mongo.command("profile", 0)
    answered = list(mongo.system.profile.find({"planSummary": {"$exists": True}}))
    assert len(answered) >= 10
    assert [each for each in answered if "COLLSCAN" in each["planSummary"] or each.get("hasSortStage")] == []


def test_messages_are_counted_in_every_queue(amqp_url: str):
    """Those that wait for their next attempt, and dead letters, too."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(2):
            channel.basic_publish("", CONVERSIONS.dead_letters, b"{}", mandatory=True)

    expected = {**dict.fromkeys(ARGUMENTS, 0), CONVERSIONS.dead_letters: 2}
    assert until(lambda: queue_lengths(amqp_url) == expected)


def test_a_queue_that_is_missing_hides_no_other(amqp_url: str):
    """`/readyz` says that it is missing. How many dead letters there are is to be seen all the same."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(CONVERSIONS.name)

    assert queue_lengths(amqp_url).keys() == ARGUMENTS.keys() - {CONVERSIONS.name}
