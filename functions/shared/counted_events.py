"""Events that are counted as they are published."""

from functions.shared.events import Event, Events, NotPublished
from functions.shared.metrics import EVENTS_NOT_PUBLISHED, EVENTS_PUBLISHED, Metrics


class CountedEvents:
    """Publishes by other Events, and counts. Implements Events."""

    def __init__(self, events: Events, metrics: Metrics) -> None:
        self._events = events
        self._metrics = metrics

    def publish(self, event: Event) -> None:
        """See Events."""
        try:
            self._events.publish(event)
        except NotPublished:
            self._metrics.count(EVENTS_NOT_PUBLISHED, event=event.event.value)
            raise
        self._metrics.count(EVENTS_PUBLISHED, event=event.event.value)
