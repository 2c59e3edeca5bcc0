"""How many messages wait in RabbitMQ, dead letters included."""

import pika.exceptions

from functions.shared.rabbit import connect_rabbit
from functions.shared.rabbit_events import CONVERSION_QUEUE, NOTIFICATION_QUEUE, QUEUES

_WATCHED = (*QUEUES, f"{CONVERSION_QUEUE}.dlq", f"{NOTIFICATION_QUEUE}.dlq")
_TIMEOUT_S = 2.0


def queue_lengths(amqp_url: str) -> dict[str, int]:
    """Return how many messages are in each queue that nobody has taken. A queue that is missing is left out.

    Raises:
        pika.exceptions.AMQPError: the broker cannot be reached, or refuses us.
    """
    lengths: dict[str, int] = {}
    with connect_rabbit(amqp_url, timeout_s=_TIMEOUT_S, heartbeat_s=2, name="video2mp3: queue lengths") as connection:
        for queue in _WATCHED:
            try:
                # Who declares passively only asks. A refusal ends the channel, so each gets its own.
                declared = connection.channel().queue_declare(queue, passive=True)
                lengths[queue] = declared.method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                continue
    return lengths
