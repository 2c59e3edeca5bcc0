"""Messages as Lambda receives them from Amazon MQ for RabbitMQ.

The event's shape: https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from functions.shared.events import Event, EventName


class MalformedMessage(Exception):
    """Raised when a message is not one of ours. It will not get better: it belongs into the dead letters."""


class _Body(msgspec.Struct, frozen=True):
    event: EventName
    conversion_id: str
    occurred_at: datetime


def events_in(rmq_event: Mapping[str, Any], *names: EventName) -> Iterator[Event]:
    """Yield the events that an `aws:rmq` event carries, in the order of their queues.

    Raises:
        MalformedMessage: one is not ours, or not of these names.
    """
    for messages in rmq_event["rmqMessagesByQueue"].values():
        for message in messages:
            event = _event_of(message)
            if event.event not in names:
                raise MalformedMessage(f"{event.event} is not for this queue.")
            yield event


def _event_of(message: Mapping[str, Any]) -> Event:
    try:
        body = msgspec.json.decode(base64.b64decode(message["data"], validate=True), type=_Body)
    # The last is for what is nested too deeply.
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"A message cannot be read: {error}") from error
    message_id = message["basicProperties"].get("messageId")
    if not message_id:
        raise MalformedMessage("A message has no message id.")
    return Event(id=message_id, event=body.event, conversion_id=body.conversion_id, occurred_at=body.occurred_at)
