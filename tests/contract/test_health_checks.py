"""The checks of /readyz on the real servers, and on none."""

import contextlib
import uuid
from collections.abc import Mapping
from datetime import timedelta

import pika
import pytest
from msgspec.structs import replace
from pymongo.database import Database

from functions.health.app import create_app
from functions.health.checks import mongodb_check, outbox_check, postgres_check, rabbitmq_check
from functions.health.health import Check, Health
from functions.shared.clock import utc_now
from functions.shared.events import EventName
from functions.shared.logs import get_logger
from functions.shared.mongo import Document, connect_mongo, to_document
from functions.shared.rabbit_events import QUEUES, WAIT_QUEUE
from infra.rabbitmq import topology
from tests.conversions import conversion, event
from tests.events import http_event, json_of

NOWHERE = "127.0.0.1:9"


def readiness(checks: Mapping[str, Check]) -> tuple[int, dict[str, str]]:
    answer = create_app(lambda: Health(checks, get_logger("tests")))(http_event("GET", "/readyz"), None)
    states: dict[str, str] = json_of(answer)["checks"]
    return answer["statusCode"], states


def test_ready_is_ready(postgres_url: str, mongo: Database[Document], amqp_url: str):
    """Else a deployment would never be given a request."""
    checks = {
        "postgres": postgres_check(postgres_url),
        "mongodb": mongodb_check(lambda: mongo),
        "rabbitmq": rabbitmq_check(amqp_url, QUEUES),
        "outbox": outbox_check(lambda: mongo, 180),
    }

    assert readiness(checks) == (200, {"postgres": "ok", "mongodb": "ok", "rabbitmq": "ok", "outbox": "ok"})


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_is_missing_is_named(amqp_url: str, queue: str):
    """RabbitMQ answers then, but every upload would wait."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(queue)

    assert readiness({"rabbitmq": rabbitmq_check(amqp_url, QUEUES)}) == (
        503,
        {"rabbitmq": f"down: the queue {queue} is missing"},
    )


def test_a_broker_that_has_lost_a_queue_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch):
    """Only a restart helps, so the answer must not point to the network."""

    def broken(*_: object, **__: object) -> None:
        raise pika.exceptions.ConnectionClosedByBroker(541, "INTERNAL_ERROR")

    monkeypatch.setattr("functions.health.checks.connect_rabbit", broken)

    assert readiness({"rabbitmq": rabbitmq_check("amqp://x", QUEUES)}) == (
        503,
        {"rabbitmq": "down: RabbitMQ has an internal error; restart it if that lasts"},
    )


def owing(seconds: float, told_again_s: float | None = None) -> Document:
    """Return a conversion that owes an event for so long, perhaps one that was owed before."""
    now = utc_now()
    owed = replace(event(), occurred_at=now - timedelta(seconds=seconds))
    document = to_document(conversion(uuid.uuid4().hex), [owed])
    if told_again_s is not None:
        document["untold"] = {"event": {}, "owed_at": now - timedelta(seconds=told_again_s)}
    return document


@pytest.mark.parametrize(
    ("owed", "said"),
    [
        ([(100, None), (110, None)], "ok"),
        ([(100, None), (4000, None)], "down: events have been owed for 4"),
        ([(4000, 100)], "ok"),
        ([(8000, 4000)], "down: events have been owed for 4"),
    ],
    ids=["not for long", "for long", "told again just now", "told again in vain"],
)
def test_events_that_are_owed_for_long_are_told(
    mongo: Database[Document], owed: list[tuple[float, float | None]], said: str
):
    """Something keeps them from their queue that RabbitMQ does not say: a binding is gone, or its disk is full."""
    mongo.conversions.insert_many([*(owing(*each) for each in owed), to_document(conversion("c9"), [])])

    status, states = readiness({"outbox": outbox_check(lambda: mongo, 180)})

    assert states["outbox"].startswith(said)
    assert states["outbox"] == "ok" or states["outbox"].endswith(" s; the log says why at `event stays owed`")
    assert (status == 200) == (said == "ok")


def test_what_is_owed_is_found_in_an_index(mongo: Database[Document]):
    """Anybody may ask for /readyz, while there are a million conversions, and thousands owe events in an outage."""
    mongo.conversions.insert_many(
        [owing(200 + number) for number in range(50)] + [to_document(conversion(f"c{n}"), []) for n in range(50)]
    )
    mongo.command("profile", 2)

    readiness({"outbox": outbox_check(lambda: mongo, 180)})

    mongo.command("profile", 0)
    [asked] = mongo["system.profile"].find({"op": "query", "ns": f"{mongo.name}.conversions"})
    assert asked["keysExamined"] <= len(EventName)
    assert asked["docsExamined"] == 1


def test_the_queues_that_are_looked_for_are_those_that_are_declared():
    """A queue that was added and is missing would be seen by nobody."""
    consumed = {queue.name for queue in topology.QUEUES}
    assert {queue.dead_letters for queue in topology.QUEUES} | set(QUEUES) == set(topology.ARGUMENTS)
    assert set(QUEUES) - consumed == {WAIT_QUEUE}


@pytest.mark.parametrize(
    ("postgres", "mongodb", "amqp"),
    [
        (
            f"postgresql://someone:secret@{NOWHERE}/x",
            f"mongodb://{NOWHERE}/?serverSelectionTimeoutMS=30000",
            f"amqp://someone:secret@{NOWHERE}",
        ),
        ("secret?", "secret?", "amqp://secret:port"),
    ],
    ids=["nobody there", "no URLs"],
)
def test_servers_that_are_not_there_are_down(postgres: str, mongodb: str, amqp: str):
    """And the answer comes in time, with nothing in it that a stranger should not know."""
    with contextlib.ExitStack() as closing:
        status, states = readiness(
            {
                "postgres": postgres_check(postgres),
                "mongodb": mongodb_check(lambda: closing.enter_context(connect_mongo(mongodb).client).x),
                "rabbitmq": rabbitmq_check(amqp, QUEUES),
            }
        )

    assert status == 503
    assert states["postgres"] == states["rabbitmq"] == "down: does not answer"
    assert states["mongodb"].startswith("down: ")
    assert NOWHERE not in str(states)
    assert "secret" not in str(states)
