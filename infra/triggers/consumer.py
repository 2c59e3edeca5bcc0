"""A consumer of a RabbitMQ queue that calls a function with each message, as Lambda does.

A thread of its own holds the connection and nothing but it, so that heartbeats go on during a conversion of hours.
The function runs in another thread, which hands its outcome back to the first: pika's objects belong to one thread.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

import pika
import pika.exceptions
import pika.spec
from aws_lambda_powertools import Logger
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.events import EventName
from functions.shared.metrics import CALLS_UNDER_WAY, CONSUMERS, MESSAGE_SECONDS, MESSAGES, NO_METRICS, Metrics
from functions.shared.rabbit import connect_rabbit
from functions.shared.rmq import MalformedMessage, events_in
from infra.invoke import AnswerLost, EventTooLarge, FunctionFailed, Functions, FunctionUnavailable
from infra.rabbitmq.topology import TopologyConflict
from infra.template import QueueTrigger
from infra.triggers.backoff import Backoff
from infra.triggers.delivery import rmq_event

# How long a stop may go unseen by a connection that has nothing to do.
_POLL_S = 0.2


class _Outcome(Enum):
    DONE = auto()
    LATER = auto()
    AGAIN = auto()
    NEVER = auto()


@dataclass(frozen=True)
class _Delivery:
    channel: BlockingChannel
    tag: int
    event: dict[str, Any]
    log_keys: dict[str, Any]


class ConsumerEnded(Exception):
    """Raised when the broker ended a consumer or its channel: its queue was deleted, or a time-out passed."""


class Consumer:
    """Takes one message at a time from a queue: acks it when the function returns, rejects it when it raises.

    A rejected message goes back to the queue after a pause, which grows while nothing succeeds: an outage must
    not use up the delivery limit in a second. While the function is unavailable, the message is kept and the call made
    again, also after pauses: a message that no function has seen must never become a dead letter. A message that the
    function calls malformed goes to the dead letters at once. When the connection is lost in mid-call, the call goes
    on to its end; its message is delivered again, and functions bear that.
    """

    def __init__(
        self,
        name: str,
        trigger: QueueTrigger,
        functions: Functions,
        amqp_url: str,
        *,
        declare: Callable[[str], None],
        stopping: threading.Event,
        logger: Logger,
        pauses: Backoff | None = None,
        reconnects: Backoff | None = None,
        heartbeat_s: int = 30,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self.name = name
        self._trigger = trigger
        self._functions = functions
        self._amqp_url = amqp_url
        self._vhost = pika.URLParameters(amqp_url).virtual_host
        self._heartbeat_s = heartbeat_s
        self._metrics = metrics
        self._declare = declare
        self._stopping = stopping
        self._logger = logger
        self._pauses = pauses or Backoff(first_s=1, longest_s=30)
        self._reconnects = reconnects or Backoff(first_s=0.5, longest_s=15)
        # The thread that calls the function, until its outcome has reached the connection's thread.
        self._call: threading.Thread | None = None

    def run(self) -> None:
        """Consume until `stopping` is set, then wait for the call under way. Reconnects by itself, for ever."""
        while not self._stopping.is_set():
            try:
                self._consume()
            except Exception as error:  # noqa: BLE001  # a consumer that ended would be missed by nobody but users
                pause = self._reconnects.next_s()
                self._logger.warning(
                    "not consuming",
                    extra={"consumer": self.name, "reason": _reason(error), "again_in_s": round(pause, 1)},
                )
                if self._call is not None:
                    self._call.join()
                    self._call = None
                self._stopping.wait(pause)

    def _consume(self) -> None:
        self._declare(self._amqp_url)
        with connect_rabbit(self._amqp_url, timeout_s=5, heartbeat_s=self._heartbeat_s, name=self.name) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            tag = channel.basic_consume(self._trigger.queue, self._on_message)
            self._reconnects.reset()
            self._logger.info("consuming", extra={"consumer": self.name, "queue": self._trigger.queue})
            self._metrics.add(CONSUMERS, 1, queue=self._trigger.queue)
            try:
                while not self._stopping.is_set():
                    connection.process_data_events(_POLL_S)
                    if not channel.consumer_tags:
                        raise ConsumerEnded("The broker ended it.")
            finally:
                self._metrics.add(CONSUMERS, -1, queue=self._trigger.queue)
            channel.basic_cancel(tag)
            while self._call is not None:
                connection.process_data_events(_POLL_S)

    def _on_message(
        self, channel: BlockingChannel, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        if self._stopping.is_set():
            return  # it goes back to the queue when the connection closes
        event = rmq_event(self._trigger.queue, self._vhost, method, properties, body)
        log_keys = {
            "function": self._trigger.function,
            "message_id": properties.message_id,
            "redelivered": method.redelivered,
            **_conversion_id(event),
        }
        self._begin(_Delivery(channel, method.delivery_tag, event, log_keys))

    def _begin(self, delivery: _Delivery) -> None:
        if self._stopping.is_set():
            return  # as above
        call = threading.Thread(target=self._work, args=(delivery,), name=f"{self.name}: call", daemon=True)
        call.start()
        self._call = call

    def _work(self, delivery: _Delivery) -> None:
        """Call the function, in a thread of its own, and hand the outcome to the connection's thread."""
        outcome = self._measured(delivery)
        try:
            delivery.channel.connection.add_callback_threadsafe(partial(self._settle, delivery, outcome))
        except pika.exceptions.ConnectionWrongStateError:
            self._logger.warning("connection lost in mid-call, message comes again", extra=delivery.log_keys)

    def _measured(self, delivery: _Delivery) -> _Outcome:
        function, queue = self._trigger.function, self._trigger.queue
        started = time.monotonic()
        self._metrics.add(CALLS_UNDER_WAY, 1, function=function)
        outcome = self._invoke(delivery)
        self._metrics.add(CALLS_UNDER_WAY, -1, function=function)
        self._metrics.count(MESSAGES, queue=queue, outcome=outcome.name.lower())
        self._metrics.observe(MESSAGE_SECONDS, time.monotonic() - started, queue=queue)
        return outcome

    def _invoke(self, delivery: _Delivery) -> _Outcome:
        started = time.monotonic()
        try:
            self._functions.invoke(self._trigger.function, delivery.event)
        except Exception as error:
            outcome = _outcome_of(error)
            extra = delivery.log_keys | {"ms": _ms_since(started)}
            if outcome is _Outcome.LATER:
                # Nothing is wrong with the message, and it may be so for hours.
                self._logger.warning("function unavailable, message waits", extra=extra | {"reason": str(error)})
            elif outcome is _Outcome.NEVER:
                self._logger.exception("message failed, goes to the dead letters", extra=extra)
            else:
                self._logger.exception("message failed, comes again", extra=extra)
            return outcome
        self._logger.info("message done", extra=delivery.log_keys | {"ms": _ms_since(started)})
        return _Outcome.DONE

    def _settle(self, delivery: _Delivery, outcome: _Outcome) -> None:
        self._call = None
        channel, tag = delivery.channel, delivery.tag
        if outcome is _Outcome.DONE:
            self._pauses.reset()
            _if_open(channel, partial(channel.basic_ack, tag))
        elif outcome is _Outcome.NEVER:
            _if_open(channel, partial(channel.basic_reject, tag, requeue=False))
        elif outcome is _Outcome.LATER:
            # RabbitMQ would count the delivery if it got the message back.
            channel.connection.call_later(
                self._pauses.next_s(), partial(_if_open, channel, partial(self._begin, delivery))
            )
        else:
            # Until then it is not acknowledged, so nothing else is delivered here. If the process ends before, the
            # message goes back to the queue as well.
            reject = partial(channel.basic_reject, tag, requeue=True)
            channel.connection.call_later(self._pauses.next_s(), partial(_if_open, channel, reject))


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _if_open(channel: BlockingChannel, settle: Callable[[], None]) -> None:
    """Settle a delivery or go on with it, unless its channel is gone: then the broker delivers the message again."""
    if channel.is_open:
        settle()


def _outcome_of(error: Exception) -> _Outcome:
    if isinstance(error, FunctionUnavailable) and not isinstance(error, AnswerLost):
        return _Outcome.LATER
    if isinstance(error, FunctionFailed) and error.error_type == MalformedMessage.__name__:
        return _Outcome.NEVER
    return _Outcome.NEVER if isinstance(error, EventTooLarge) else _Outcome.AGAIN


def _conversion_id(event: dict[str, Any]) -> dict[str, str]:
    try:
        return {"conversion_id": next(events_in(event, *EventName)).conversion_id}
    except MalformedMessage:
        return {}  # the function says so, too


def _reason(error: Exception) -> str:
    # Exceptions of pika are empty as sentences; their names say more.
    return str(error) if isinstance(error, TopologyConflict | ConsumerEnded) else repr(error)
