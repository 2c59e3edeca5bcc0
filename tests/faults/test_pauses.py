"""The pause before another attempt, when the broker that keeps it dies."""

from datetime import timedelta

import msgspec
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.rabbit_events import RabbitEvents
from infra.local.stack import RunningStack
from tests.conversions import conversion, event
from tests.faults.processes import Faults
from tests.tus import until

PAUSE = timedelta(seconds=5)


def test_a_conversion_that_waits_outlives_the_broker(
    stack: RunningStack, faults: Faults, database: Database[Document]
) -> None:
    """Its message may be lost with the broker. Then sweep announces it: here soon, as it is old."""
    conversions = MongoConversions(database)
    conversions.add(conversion("waits-without-a-video"), [])
    again = msgspec.structs.replace(event(conversion_id="waits-without-a-video"), not_before=utc_now() + PAUSE)
    events = RabbitEvents(stack.urls.amqp)
    events.publish(again)
    events.close()

    killed = faults.kill("rabbitmq")

    faults.wait_until_well(killed)
    until(lambda: conversions.get("waits-without-a-video").error is not None, within_s=120)
    ended = conversions.get("waits-without-a-video")
    assert (ended.attempts, ended.error and ended.error.type) == (1, "storage-corrupt")
    assert ended.completed_at is not None
    assert again.not_before is not None
    assert ended.completed_at >= again.not_before
