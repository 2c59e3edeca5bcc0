"""Events: what happened to a conversion, and the port that tells the others.

A state change and the events it owes are one write of the conversion document. They are published right
after it; what could not be published stays owed, and sweep publishes it later. So an event may be
published twice but is never lost, and whoever consumes one must bear a repeat.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec
from aws_lambda_powertools import Logger

from functions.shared.problems import Unavailable

# No event waits for longer than this before it is told.
LONGEST_PAUSE = timedelta(minutes=5)


class EventName(StrEnum):
    """The names of events, which are also their routing keys."""

    VIDEO_UPLOADED = "video.uploaded"
    CONVERSION_COMPLETED = "conversion.completed"
    CONVERSION_FAILED = "conversion.failed"


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened. `id` is also the id of the message.

    Nobody is to act on it earlier than `not_before`, if that is given, and never later than LONGEST_PAUSE for its sake.
    """

    id: str
    event: EventName
    conversion_id: str
    occurred_at: datetime
    not_before: datetime | None = None


class NotPublished(Exception):
    """Raised when the broker did not take an event, or no queue did. It may have been taken all the same."""


class Events(Protocol):
    """Where events are published."""

    def publish(self, event: Event) -> None:
        """Publish one event and return when a queue holds it durably. Raises NotPublished.

        One that is not to be acted on yet waits in a queue of its own, while others pass.
        """


class Outbox(Protocol):
    """The events that conversions owe."""

    def owed(self, name: EventName, limit: int) -> list[Event]:
        """Return up to `limit` owed events of that name, those of the longest unchanged conversion first.

        The limit is for one name, so that events which no queue takes do not hide those of another.
        """

    def mark_published(self, event: Event) -> None:
        """Note that an event is no longer owed. Does nothing if it was not."""


def publish_owed(owed: Iterable[Event], events: Events, outbox: Outbox, logger: Logger) -> int:
    """Publish events and mark them. One that cannot be published stays owed, as do those after it of that name.

    Those of another name may go to another queue, as those with a `not_before` do, so they are still tried. Returns how
    many were published and marked. Never fails for want of the broker or of the storage: the state change that owes
    the events is already written.
    """
    published = 0
    not_taken: set[tuple[EventName, bool]] = set()
    for event in owed:
        way = (event.event, event.not_before is None)
        if way in not_taken:
            continue
        try:
            events.publish(event)
            outbox.mark_published(event)
        except (NotPublished, Unavailable) as error:
            not_taken.add(way)
            logger.warning(
                "event stays owed",
                extra={"conversion_id": event.conversion_id, "event": event.event, "reason": str(error)},
            )
        else:
            published += 1
    return published
