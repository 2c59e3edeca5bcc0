"""What waits: conversions, events, owners and messages. Sweep looks at it after each run, for those who watch."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple, Protocol

from functions.shared.clock import Clock
from functions.shared.conversions import State
from functions.shared.metrics import (
    BACKLOG_TIMESTAMP_SECONDS,
    CONVERSIONS_CONVERTING,
    CONVERSIONS_QUEUED,
    ENDS_UNTOLD,
    EVENTS_OWED,
    OLDEST_OWED_SECONDS,
    OLDEST_QUEUED_SECONDS,
    OLDEST_UNTOLD_SECONDS,
    QUEUE_MESSAGES,
    Metrics,
)

# Who counts further reads the whole index, and learns nothing that he would do anything else about.
COUNTED = 10_000

# How many messages each queue holds that nobody has taken.
QueueLengths = Callable[[], Mapping[str, int]]


class Waiting(NamedTuple):
    """How many wait, up to COUNTED, and for how long the first has."""

    number: int
    oldest_s: float


class Backlog(Protocol):
    """Conversions that wait for something. Time is the storage's own."""

    def in_state(self, state: State) -> Waiting:
        """Return how many are in a state, and for how long the first is queued, or has not shown life."""

    def owing(self) -> Waiting:
        """Return how many owe events, and for how long the first has not changed."""

    def untold(self, within: timedelta) -> Waiting:
        """Return how many ended `within` ago or less and nobody was told, and for how long the first waits."""


class NothingWaits:
    """Implements Backlog."""

    def in_state(self, state: State) -> Waiting:  # noqa: ARG002
        """See Backlog."""
        return Waiting(0, 0.0)

    def owing(self) -> Waiting:
        """See Backlog."""
        return Waiting(0, 0.0)

    def untold(self, within: timedelta) -> Waiting:  # noqa: ARG002
        """See Backlog."""
        return Waiting(0, 0.0)


NOTHING_WAITS = NothingWaits()


def measure(backlog: Backlog, queues: QueueLengths, within: timedelta, clock: Clock, metrics: Metrics) -> None:
    """Note in `metrics` what waits. Raises what the ports raise; what came before is noted then."""
    queued = backlog.in_state(State.QUEUED)
    metrics.set(CONVERSIONS_QUEUED, queued.number)
    metrics.set(OLDEST_QUEUED_SECONDS, queued.oldest_s)
    metrics.set(CONVERSIONS_CONVERTING, backlog.in_state(State.CONVERTING).number)
    owing = backlog.owing()
    metrics.set(EVENTS_OWED, owing.number)
    metrics.set(OLDEST_OWED_SECONDS, owing.oldest_s)
    untold = backlog.untold(within)
    metrics.set(ENDS_UNTOLD, untold.number)
    metrics.set(OLDEST_UNTOLD_SECONDS, untold.oldest_s)
    for queue, messages in queues().items():
        metrics.set(QUEUE_MESSAGES, messages, queue=queue)
    metrics.set(BACKLOG_TIMESTAMP_SECONDS, clock().timestamp())
