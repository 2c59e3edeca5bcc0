"""The queues on a real RabbitMQ, to which somebody does something while the triggers run."""

import threading
from collections.abc import Iterator

import pika
import pytest

from functions.shared.events import NotPublished
from functions.shared.logs import get_logger
from functions.shared.rabbit_events import EXCHANGE, RabbitEvents
from infra.rabbitmq.topology import CONVERSIONS, TopologyConflict, declare
from infra.triggers.upkeep import Upkeep
from tests.conversions import event
from tests.tus import until


class Declared:
    """Declares as the triggers do, but first does what somebody else has done."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def __call__(self, amqp_url: str) -> None:
        if self.failures:
            raise self.failures.pop()
        declare(amqp_url)


@pytest.fixture
def declared(amqp_url: str) -> Iterator[Declared]:
    declared, stopping = Declared(), threading.Event()
    upkeep = Upkeep(amqp_url, declare=declared, stopping=stopping, logger=get_logger("tests"), period_s=0.05)
    thread = threading.Thread(target=upkeep.run)
    thread.start()
    yield declared
    stopping.set()
    thread.join(20)
    assert not thread.is_alive()


def unbind(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_unbind(CONVERSIONS.name, EXCHANGE, CONVERSIONS.routing_keys[0])


def takes_events(amqp_url: str) -> bool:
    events = RabbitEvents(amqp_url)
    try:
        events.publish(event())
    except NotPublished:
        return False
    else:
        return True
    finally:
        events.close()


@pytest.mark.usefixtures("declared")
def test_a_queue_that_was_unbound_takes_messages_again(amqp_url: str):
    """Nobody is told that a binding is gone, so it would stay gone until somebody wonders why no video is converted."""
    unbind(amqp_url)

    until(lambda: takes_events(amqp_url))


def test_a_failure_does_not_end_it(amqp_url: str, declared: Declared):
    """The broker may be away for hours, or hold a queue that was made differently until somebody deletes it."""
    declared.failures = [TopologyConflict("The queue exists and is made differently."), OSError("no broker")]
    until(lambda: not declared.failures)
    unbind(amqp_url)

    until(lambda: takes_events(amqp_url))
