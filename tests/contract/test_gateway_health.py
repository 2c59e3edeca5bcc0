"""The checks of /readyz on the real servers, and on none."""

import pika
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.gateway.health import Check, mongodb_check, postgres_check, rabbitmq_check
from infra.rabbitmq.topology import CONVERSIONS, NOTIFICATIONS, QUEUES
from tests.fakes.gateway import FakeFunctions, make_gateway, send

NAMES = tuple(queue.name for queue in QUEUES)
NOWHERE = "127.0.0.1:9"


def readiness(checks: dict[str, Check]) -> tuple[int, dict[str, str]]:
    answer = send(make_gateway(FakeFunctions(), checks=checks), "GET", "/readyz")
    states: dict[str, str] = answer.json()["checks"]
    return answer.status_code, states


def test_ready_is_ready(postgres_url: str, mongo: Database[Document], amqp_url: str):
    """Else a deployment would never be given a request."""
    checks: dict[str, Check] = {
        "postgres": postgres_check(postgres_url),
        "mongodb": mongodb_check(lambda: mongo),
        "rabbitmq": rabbitmq_check(amqp_url, NAMES),
    }

    assert readiness(checks) == (200, {"postgres": "ok", "mongodb": "ok", "rabbitmq": "ok"})


@pytest.mark.parametrize("queue", [CONVERSIONS.name, NOTIFICATIONS.name])
def test_a_queue_that_is_missing_is_named(amqp_url: str, queue: str):
    """RabbitMQ answers then, but every upload would wait."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(queue)

    assert readiness({"rabbitmq": rabbitmq_check(amqp_url, NAMES)}) == (
        503,
        {"rabbitmq": f"down: the queue {queue} is missing"},
    )


def test_servers_that_are_not_there_are_down():
    """And the answer comes in time, with nothing in it that a stranger should not know."""
    nowhere = connect_mongo(f"mongodb://{NOWHERE}/?serverSelectionTimeoutMS=30000")
    checks: dict[str, Check] = {
        "postgres": postgres_check(f"postgresql://someone:secret@{NOWHERE}/x"),
        "mongodb": mongodb_check(lambda: nowhere),
        "rabbitmq": rabbitmq_check(f"amqp://someone:secret@{NOWHERE}", NAMES),
    }
    try:
        status, states = readiness(checks)
    finally:
        nowhere.client.close()

    assert status == 503
    assert states["postgres"] == states["rabbitmq"] == "down: does not answer"
    assert states["mongodb"].startswith("down: ")
    assert NOWHERE not in str(states)
