"""Events, published to RabbitMQ."""

import threading
import time
from datetime import timedelta

import msgspec
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.clock import Clock, utc_now
from functions.shared.events import LONGEST_PAUSE, Event, EventName, NotPublished
from functions.shared.rabbit import INTERNAL_ERROR, connect_rabbit

EXCHANGE = "video2mp3"
# The queues that functions are called for, and the one in which messages wait before they come into the first. How they
# are made is in infra/rabbitmq.
CONVERSION_QUEUE = "video_conversion_queue"
NOTIFICATION_QUEUE = "conversion_notification_queue"
WAIT_QUEUE = f"{CONVERSION_QUEUE}.wait"
QUEUES = (CONVERSION_QUEUE, WAIT_QUEUE, NOTIFICATION_QUEUE)
# Leads to the wait queue.
LATER_KEY = f"{EventName.VIDEO_UPLOADED}.later"
_REFUSED = (
    pika.exceptions.ConnectionBlockedTimeout,
    pika.exceptions.UnroutableError,
    pika.exceptions.NackError,
)
_LOST = (pika.exceptions.AMQPConnectionError, pika.exceptions.AMQPChannelError, OSError)


class RabbitEvents:
    """The exchange `video2mp3`. Implements Events. Threads may share one.

    An event counts as published once the broker has confirmed it and a queue has taken it. A connection that is idle
    for half of `timeout_s` is closed, since nobody answers the broker's heartbeats in between. One that was lost while
    nothing was sent, as when a Lambda sandbox is frozen, is made again once.

    A broker that has just let a thread wait for nothing is not asked again for `timeout_s`, and no thread waits
    longer than that for another: events are owed then, and uploads go on.

    A `video.uploaded` that is not to be acted on yet waits in the broker, which keeps the time by itself.
    """

    def __init__(self, url: str, *, timeout_s: float = 5, clock: Clock = utc_now) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._channel: BlockingChannel | None = None
        self._used_at = 0.0
        self._silent_until = 0.0

    def publish(self, event: Event) -> None:
        """See Events."""
        if not self._lock.acquire(timeout=self._timeout_s):
            raise NotPublished("RabbitMQ has not answered another thread yet.")
        try:
            self._publish_or_not(event)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the connection. The next publish makes a new one."""
        with self._lock:
            self._disconnect()

    def _publish_or_not(self, event: Event) -> None:
        started = time.monotonic()
        if started < self._silent_until:
            raise NotPublished("RabbitMQ did not answer a moment ago.")
        try:
            self._publish_again_if_lost(event)
        except pika.exceptions.UnroutableError as error:
            raise NotPublished(f"No queue takes {event.event}.") from error
        except (pika.exceptions.AMQPError, OSError) as error:
            self._disconnect()
            if time.monotonic() - started > self._timeout_s / 2:
                self._silent_until = time.monotonic() + self._timeout_s
            raise NotPublished(_reason(error)) from error

    def _publish_again_if_lost(self, event: Event) -> None:
        if self._channel is not None:
            try:
                self._publish(self._channel, event)
            except _REFUSED:
                raise
            except _LOST:
                self._disconnect()
            else:
                return
        self._channel = channel = self._connect()
        threading.Thread(target=self._close_when_idle, args=(channel,), name="idle RabbitMQ", daemon=True).start()
        self._publish(channel, event)

    def _close_when_idle(self, channel: BlockingChannel) -> None:
        idle_s = self._timeout_s / 2
        left_s = idle_s
        while left_s > 0:
            time.sleep(left_s)
            with self._lock:
                if self._channel is not channel:
                    return
                left_s = self._used_at + idle_s - time.monotonic()
                if left_s <= 0:
                    self._disconnect()

    def _publish(self, channel: BlockingChannel, event: Event) -> None:
        waits_ms = self._waits_ms(event)
        channel.basic_publish(
            EXCHANGE,
            routing_key=LATER_KEY if waits_ms else event.event,
            body=msgspec.json.encode(
                {"event": event.event, "conversion_id": event.conversion_id, "occurred_at": event.occurred_at}
            ),
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=event.id,
                timestamp=int(event.occurred_at.timestamp()),
                expiration=str(waits_ms) if waits_ms else None,
            ),
            # Without it, a message that no queue takes is confirmed all the same.
            mandatory=True,
        )
        self._used_at = time.monotonic()

    def _waits_ms(self, event: Event) -> int:
        """Return how long a message has to wait. Clocks that differ may shorten it; they never make it longer."""
        if event.not_before is None or event.event is not EventName.VIDEO_UPLOADED:
            return 0
        pause = min(event.not_before - event.occurred_at, LONGEST_PAUSE)
        return max(0, min(event.not_before - self._clock(), pause) // timedelta(milliseconds=1))

    def _connect(self) -> BlockingChannel:
        # The heartbeat is what ends the wait for a broker that fell silent, after 10 to 20 s with the default.
        heartbeat_s = max(1, round(self._timeout_s))
        channel = connect_rabbit(self._url, timeout_s=self._timeout_s, heartbeat_s=heartbeat_s).channel()
        channel.confirm_delivery()
        return channel

    def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            try:
                channel.connection.close()
            except (pika.exceptions.AMQPError, OSError):
                return


def _reason(error: Exception) -> str:
    if isinstance(error, pika.exceptions.ConnectionClosedByBroker) and error.reply_code == INTERNAL_ERROR:
        return "RabbitMQ has an internal error. If it lasts, see INTERNAL_ERROR in docs/operating.md."
    return f"RabbitMQ did not take it: {error!r}"
