"""The checks of /readyz on the real servers, and on none."""

import contextlib
from collections.abc import Mapping

import pika
import pytest
from pymongo.database import Database

from functions.health.app import create_app
from functions.health.checks import mongodb_check, postgres_check, rabbitmq_check
from functions.health.health import Check, Health
from functions.shared.logs import get_logger
from functions.shared.mongo import Document, connect_mongo
from functions.shared.rabbit_events import QUEUES
from infra.rabbitmq import topology
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
    }

    assert readiness(checks) == (200, {"postgres": "ok", "mongodb": "ok", "rabbitmq": "ok"})


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_is_missing_is_named(amqp_url: str, queue: str):
    """RabbitMQ answers then, but every upload would wait."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(queue)

    assert readiness({"rabbitmq": rabbitmq_check(amqp_url, QUEUES)}) == (
        503,
        {"rabbitmq": f"down: the queue {queue} is missing"},
    )


def test_the_queues_that_are_looked_for_are_those_that_are_declared():
    """A queue that was added and is missing would be seen by nobody."""
    assert tuple(queue.name for queue in topology.QUEUES) == QUEUES


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
