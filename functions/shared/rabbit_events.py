"""Events, published to RabbitMQ."""

import threading

import msgspec
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.events import Event, NotPublished

EXCHANGE = "video2mp3"
_LOST = (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError, OSError)


class RabbitEvents:
    """The exchange `video2mp3`. Implements Events. Threads may share one.

    An event counts as published once the broker has confirmed it and a queue has taken it. A connection
    that was lost while nothing was sent, as when a Lambda sandbox is frozen, is made again once.
    """

    def __init__(self, url: str, *, timeout_s: float = 5) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.heartbeat = 30
        self._parameters.socket_timeout = timeout_s
        self._parameters.stack_timeout = timeout_s
        self._parameters.blocked_connection_timeout = timeout_s
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None

    def publish(self, event: Event) -> None:
        """See Events."""
        with self._lock:
            try:
                self._publish_again_if_lost(event)
            except pika.exceptions.UnroutableError as error:
                raise NotPublished(f"No queue takes {event.event}.") from error
            except (pika.exceptions.AMQPError, OSError) as error:
                self._disconnect()
                raise NotPublished(f"RabbitMQ did not take it: {error!r}") from error

    def _publish_again_if_lost(self, event: Event) -> None:
        if self._channel is not None:
            try:
                self._publish(self._channel, event)
            except pika.exceptions.ConnectionBlockedTimeout:
                raise
            except _LOST:
                self._disconnect()
            else:
                return
        self._channel = self._connect()
        self._publish(self._channel, event)

    def _publish(self, channel: BlockingChannel, event: Event) -> None:
        channel.basic_publish(
            EXCHANGE,
            routing_key=event.event,
            body=msgspec.json.encode(
                {"event": event.event, "conversion_id": event.conversion_id, "occurred_at": event.occurred_at}
            ),
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=event.id,
                timestamp=int(event.occurred_at.timestamp()),
            ),
            # Without it, a message that no queue takes is confirmed all the same.
            mandatory=True,
        )

    def _connect(self) -> BlockingChannel:
        channel = pika.BlockingConnection(self._parameters).channel()
        channel.confirm_delivery()
        return channel

    def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            try:
                channel.connection.close()
            except (pika.exceptions.AMQPError, OSError):
                return
