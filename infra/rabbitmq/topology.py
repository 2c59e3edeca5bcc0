"""The exchange, the queues and their dead-letter queues: names and arguments, all in this one place.

Works on RabbitMQ 3.10 and newer, 4.x included: from 3.10 on quorum queues know messages that expire, and dead-lettering
at least once. Nothing here is deprecated in 4.x.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.events import LONGEST_PAUSE
from functions.shared.rabbit import connect_rabbit
from functions.shared.rabbit_events import CONVERSION_QUEUE, EXCHANGE, LATER_KEY, NOTIFICATION_QUEUE, WAIT_QUEUE

# After so many deliveries that were not acknowledged, a message goes to the dead letters. From 4.3 on only those count
# that were rejected or lost with their consumer, and there are no others here.
DELIVERY_LIMIT = 20
# Longer than the longest conversion: a delivery that is not acknowledged for this long is taken away. Its channel is
# closed then, or from 4.3 on its consumer is cancelled; in either case the consumer begins anew.
CONSUMER_TIMEOUT_MS = 4 * 60 * 60 * 1000

# https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants
PRECONDITION_FAILED = 406

Arguments = Mapping[str, str | int]


@dataclass(frozen=True)
class Queue:
    """A quorum queue, the routing keys that lead to it, and where its dead letters go."""

    name: str
    routing_keys: tuple[str, ...]

    @property
    def dead_letters(self) -> str:
        """The name of its dead-letter queue."""
        return f"{self.name}.dlq"

    @property
    def arguments(self) -> Arguments:
        """The arguments that it is declared with."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            # Servers before 3.12 keep this argument and ignore it: there rabbitmq.conf has to set consumer_timeout.
            "x-consumer-timeout": CONSUMER_TIMEOUT_MS,
            # The default exchange leads to the queue that the key names.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.dead_letters,
            # A dead letter leaves this queue only when the other has it. The broker asks for reject-publish with it.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


CONVERSIONS = Queue(CONVERSION_QUEUE, ("video.uploaded",))
NOTIFICATIONS = Queue(NOTIFICATION_QUEUE, ("conversion.*",))
QUEUES = (CONVERSIONS, NOTIFICATIONS)

DEAD_LETTER_ARGUMENTS: Arguments = {
    "x-queue-type": "quorum",
    # From 4.0 on the default is 20, after which a dead letter that was looked at and put back would be gone.
    "x-delivery-limit": 1_000_000,
}

# Messages for the conversion queue wait here until they expire, which is how they come into it. Nobody consumes them.
# One that expires behind another that waits longer comes with that one: the first in the queue is looked at.
WAIT_ARGUMENTS: Arguments = {
    "x-queue-type": "quorum",
    # What a message says itself, if that is shorter, holds. So no message can keep those behind it for longer.
    "x-message-ttl": LONGEST_PAUSE // timedelta(milliseconds=1),
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": CONVERSIONS.name,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}

# All queues, in the order in which they are declared: what a queue's messages go on to comes before it, so that no
# message is ever without a place.
ARGUMENTS: Mapping[str, Arguments] = {
    **{queue.dead_letters: DEAD_LETTER_ARGUMENTS for queue in QUEUES},
    **{queue.name: queue.arguments for queue in QUEUES},
    WAIT_QUEUE: WAIT_ARGUMENTS,
}
BINDINGS = (*((key, queue.name) for queue in QUEUES for key in queue.routing_keys), (LATER_KEY, WAIT_QUEUE))


class TopologyConflict(Exception):
    """Raised when the broker holds an exchange or queue of our name that is made differently."""


def declare(amqp_url: str, *, timeout_s: float = 10) -> None:
    """Declare the exchange, the queues and their bindings. What exists already as it should be is left alone.

    Raises:
        TopologyConflict: something of our name exists and is made differently. The message says what to do.
        pika.exceptions.AMQPError: the broker cannot be reached, or refuses us.
    """
    vhost = pika.URLParameters(amqp_url).virtual_host
    with connect_rabbit(amqp_url, timeout_s=timeout_s) as connection:
        channel = connection.channel()
        _declare_exchange(channel)
        for name, arguments in ARGUMENTS.items():
            _declare_queue(channel, name, arguments, vhost)
        for key, name in BINDINGS:
            channel.queue_bind(name, EXCHANGE, routing_key=key)


def _declare_exchange(channel: BlockingChannel) -> None:
    try:
        channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != PRECONDITION_FAILED:
            raise
        raise TopologyConflict(
            f"The exchange {EXCHANGE} exists and is made differently. Delete it, then declare again: "
            f"python -m infra.rabbitmq. RabbitMQ says: {error.reply_text}"
        ) from error


def _declare_queue(channel: BlockingChannel, name: str, arguments: Arguments, vhost: str) -> None:
    try:
        channel.queue_declare(name, durable=True, arguments=dict(arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != PRECONDITION_FAILED:
            raise
        raise TopologyConflict(
            f"The queue {name} exists and is made differently, and a queue cannot be changed. Let it run empty, "
            f"delete it with `rabbitmqctl -p {vhost} delete_queue {name}`, then declare again: "
            f"python -m infra.rabbitmq. RabbitMQ says: {error.reply_text}"
        ) from error
