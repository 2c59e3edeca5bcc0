"""How one conversion is handed to an invocation of its own.

Lambda calls a function with the messages of a RabbitMQ queue one after the other, whatever its concurrency. So there
the call that gets a message only hands it off, and many conversions run at once. The message is then gone from the
queue: from there on it is Lambda that tries again, and beyond that sweep, which announces again what nobody converts.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

# It stands beside the messages, where nothing that is in one can get: only who may call the function can set it.
_MARKER = "handedOff"


class NotHandedOff(Exception):
    """Raised when an event may not have been taken. The message must come back: a repeat does no harm."""


class HandOff(Protocol):
    """Functions that are called without waiting for them."""

    def hand_off(self, function_arn: str, event: Mapping[str, Any]) -> None:
        """Return when it is certain that the function will be called with this event. Raises NotHandedOff."""


def to_hand_off(rmq_event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an `aws:rmq` event for each message, in their order, marked as handed off."""
    for queue, messages in rmq_event["rmqMessagesByQueue"].items():
        for message in messages:
            yield {**rmq_event, "rmqMessagesByQueue": {queue: [message]}, _MARKER: True}


def was_handed_off(event: Mapping[str, Any]) -> bool:
    """Say whether `to_hand_off` made an event, so that it is never handed off again."""
    return event.get(_MARKER) is True
