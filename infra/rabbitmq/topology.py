"""The exchange, the queues and their dead-letter queues: names and arguments, all in this one place.

Works on RabbitMQ 3.10 and newer, 4.x included.
"""

from dataclasses import dataclass

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.rabbit import connect_rabbit
from functions.shared.rabbit_events import CONVERSION_QUEUE, EXCHANGE, NOTIFICATION_QUEUE

# After so many deliveries that were not acknowledged, a message goes to the dead letters.
DELIVERY_LIMIT = 20
# Longer than the longest conversion: a delivery that is not acknowledged for this long is taken away.
CONSUMER_TIMEOUT_MS = 4 * 60 * 60 * 1000

# https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants
PRECONDITION_FAILED = 406


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
    def arguments(self) -> dict[str, str | int]:
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

DEAD_LETTER_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "quorum",
    # From 4.0 on the default is 20, after which a dead letter that was looked at and put back would be gone.
    "x-delivery-limit": 1_000_000,
}


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
        for queue in QUEUES:
            # The dead-letter queue comes first, so that no dead letter is ever without a place.
            _declare_queue(channel, queue.dead_letters, DEAD_LETTER_ARGUMENTS, vhost)
            _declare_queue(channel, queue.name, queue.arguments, vhost)
            for key in queue.routing_keys:
                channel.queue_bind(queue.name, EXCHANGE, routing_key=key)


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


def _declare_queue(channel: BlockingChannel, name: str, arguments: dict[str, str | int], vhost: str) -> None:
    try:
        channel.queue_declare(name, durable=True, arguments=arguments)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != PRECONDITION_FAILED:
            raise
        raise TopologyConflict(
            f"The queue {name} exists and is made differently, and a queue cannot be changed. Let it run empty, "
            f"delete it with `rabbitmqctl -p {vhost} delete_queue {name}`, then declare again: "
            f"python -m infra.rabbitmq. RabbitMQ says: {error.reply_text}"
        ) from error
