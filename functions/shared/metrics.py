"""What is measured: one table of metrics, and the port by which functions and the processes around them count.

A name is the same everywhere: Prometheus puts `video2mp3_` in front of it, CloudWatch has it in a namespace of that
name. What the values of a label can be is bounded: a route, a queue, an outcome; never a path or an id.
"""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from functions.shared.settings import from_env

T = TypeVar("T")
E = TypeVar("E")

NAMESPACE = "video2mp3"


class Unit(StrEnum):
    """What a value is, in CloudWatch's words."""

    SECONDS = "Seconds"
    BYTES = "Bytes"
    COUNT = "Count"
    NONE = "None"


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
_BYTES = tuple(10.0**power for power in range(4, 12))
_ATTEMPTS = (1, 2, 3, 5, 10)
_TIMES = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


# Compared by identity: a metric is looked up at each count.
@dataclass(frozen=True, eq=False)
class Metric:
    """One thing that is measured, by its name, with a sentence on what it says."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    unit: Unit = Unit.COUNT


class Counter(Metric):
    """Only grows."""


class Gauge(Metric):
    """Goes up and down."""


@dataclass(frozen=True, eq=False)
class Histogram(Metric):
    """Many values, of which one wants to know how they are spread. Prometheus counts by upper bounds, the `buckets`."""

    buckets: Sequence[float] = _SECONDS


def _seconds(name: str, help: str, *labels: str) -> Histogram:  # noqa: A002
    return Histogram(name, help, labels, Unit.SECONDS, _SECONDS)


def _bytes(name: str, help: str, *labels: str) -> Histogram:  # noqa: A002
    return Histogram(name, help, labels, Unit.BYTES, _BYTES)


# The gateway.
REQUESTS = Counter(
    "requests",
    "Requests by status: 2xx, 3xx, 4xx, and 5xx, also if the answer was broken off.",
    ("route", "method", "status"),
)
REQUEST_SECONDS = _seconds("request_seconds", "From the head of a request to the end of its answer.", "route", "method")
REQUEST_BYTES = Counter("request_bytes", "Bytes of bodies that clients sent.", ("route",), Unit.BYTES)
RESPONSE_BYTES = Counter("response_bytes", "Bytes of bodies that clients were sent.", ("route",), Unit.BYTES)
REQUESTS_UNDER_WAY = Gauge("requests_under_way", "Requests that are being answered.")

# Videos that come in.
UPLOADS_ACCEPTED = Counter("uploads_accepted", "Videos that were accepted, by how they came: form or tus.", ("kind",))
UPLOAD_BYTES = _bytes("upload_bytes", "How large accepted videos are.", "kind")

# Conversions. What is told of an end is told by whoever wrote it.
CONVERSIONS_COMPLETED = Counter("conversions_completed", "Conversions that ended with an MP3.")
CONVERSIONS_FAILED = Counter("conversions_failed", "Conversions that ended without one, by why.", ("failure",))
CONVERSION_ATTEMPTS = Histogram(
    "conversion_attempts", "How many attempts a conversion took to its end.", (), Unit.COUNT, _ATTEMPTS
)
CONVERSION_WAIT_SECONDS = _seconds("conversion_wait_seconds", "From the upload to the start of the first attempt.")
CONVERSION_SECONDS = _seconds("conversion_seconds", "How long the attempt took that made the MP3.")
CONVERSION_SPEED = Histogram(
    "conversion_speed", "Seconds of sound that were converted in a second.", (), Unit.NONE, _TIMES
)
MP3_BYTES = _bytes("mp3_bytes", "How large MP3s are.")
ATTEMPTS_RELEASED = Counter(
    "attempts_released", "Attempts without an end, by why: failed, or the host was stopping.", ("reason",)
)
CLAIMS_LOST = Counter("claims_lost", "Workers that stalled, or whose conversion was deleted.")

# Events and e-mails.
EVENTS_PUBLISHED = Counter("events_published", "Events that RabbitMQ has taken.", ("event",))
EVENTS_NOT_PUBLISHED = Counter("events_not_published", "Tries that RabbitMQ did not take: they stay owed.", ("event",))
EMAILS = Counter("emails", "E-mails, by outcome: sent, undeliverable, or not sent and to be tried again.", ("outcome",))

# The triggers.
CONSUMERS = Gauge("consumers", "Consumers that are connected to their queue.", ("queue",))
MESSAGES = Counter(
    "messages", "Messages, by outcome: done, again, later (no function), never (a dead letter).", ("queue", "outcome")
)
MESSAGE_SECONDS = _seconds("message_seconds", "How long a function worked on a message.", "queue")
CALLS_UNDER_WAY = Gauge("calls_under_way", "Calls of functions that are under way.", ("function",))
CALLS = Counter(
    "calls", "Calls of functions by schedules and at hosts, by outcome: done or failed.", ("function", "outcome")
)
CALL_SECONDS = _seconds("call_seconds", "How long these calls took.", "function")

# sweep. The gauges are those of the last run, also when sweep is not called any more: then the timestamp stands still.
SWEPT = Counter("swept", "What each rule of sweep put right.", ("rule",))
RULES_FAILED = Counter("rules_failed", "Rules of sweep that failed.", ("rule",))
BACKLOG_TIMESTAMP_SECONDS = Gauge(
    "backlog_timestamp_seconds", "When sweep last looked at all that waits, in Unix time.", (), Unit.SECONDS
)
CONVERSIONS_QUEUED = Gauge("conversions_queued", "Conversions that wait, up to 10,000.")
CONVERSIONS_CONVERTING = Gauge("conversions_converting", "Conversions that are being made, up to 10,000.")
OLDEST_QUEUED_SECONDS = Gauge(
    "oldest_queued_seconds", "For how long the first of those that wait has waited.", (), Unit.SECONDS
)
EVENTS_OWED = Gauge("events_owed", "Conversions that owe events, up to 10,000.")
OLDEST_OWED_SECONDS = Gauge("oldest_owed_seconds", "For how long the oldest event is owed.", (), Unit.SECONDS)
ENDS_UNTOLD = Gauge("ends_untold", "Conversions that ended in the last three days and whose owners nobody told yet.")
OLDEST_UNTOLD_SECONDS = Gauge("oldest_untold_seconds", "For how long the first of these waits.", (), Unit.SECONDS)
QUEUE_MESSAGES = Gauge(
    "queue_messages", "Messages in a queue that nobody has taken; .dlq are dead letters.", ("queue",)
)

METRICS: Sequence[Metric] = tuple(each for each in tuple(vars().values()) if isinstance(each, Metric))


class Metrics(Protocol):
    """Where it is counted. Threads may share one. Nothing is ever raised: what cannot be counted is not counted."""

    def count(self, metric: Counter, by: float = 1, /, **labels: str) -> None:
        """Count something, or so many."""

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """Note one value."""

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """Note what it is now."""

    def add(self, metric: Gauge, by: float, /, **labels: str) -> None:
        """Note that it is more now, or less."""

    def flush(self) -> None:
        """Hand over what was counted, if it is not read from here. A function does this at the end of each call."""


class NoMetrics:
    """Counts nothing. Implements Metrics."""

    def count(self, metric: Counter, by: float = 1, /, **labels: str) -> None:
        """See Metrics."""

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """See Metrics."""

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """See Metrics."""

    def add(self, metric: Gauge, by: float, /, **labels: str) -> None:
        """See Metrics."""

    def flush(self) -> None:
        """See Metrics."""


NO_METRICS = NoMetrics()


class Sink(StrEnum):
    """Where metrics go. Whoever runs a function for Prometheus brings that with him: see `use_metrics`."""

    NONE = "none"
    PROMETHEUS = "prometheus"
    EMF = "emf"


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every function finds in its environment. On AWS `stage` is a dimension of each metric."""

    metrics: Sink = Sink.NONE
    stage: str = "local"


# What this process counts with. Prometheus, too, has one registry for a process.
_of_process: Metrics | None = None
_made: dict[str, Metrics] = {}


def use_metrics(metrics: Metrics | None) -> None:
    """Let every function of this process that connects from now on count here. With None, as its environment says."""
    global _of_process  # noqa: PLW0603  # what it stands for is as global
    _of_process = metrics


def connect_metrics(service: str) -> Metrics:
    """Return what the function `service` counts with. Raises InvalidSettings."""
    if _of_process is not None:
        return _of_process
    settings = from_env(MetricsSettings, os.environ)
    if settings.metrics is not Sink.EMF:
        return NO_METRICS
    # Only on AWS anybody should wait for this import.
    from functions.shared.emf_metrics import EmfMetrics  # noqa: PLC0415

    return _made.setdefault(service, EmfMetrics(service, settings.stage))


def flush_metrics() -> None:
    """Hand over what the functions of this process have counted. Never raises."""
    for metrics in list(_made.values()):
        metrics.flush()


def flushing(handler: Callable[[E, Any], T]) -> Callable[[E, Any], T]:
    """Return a Lambda handler that hands over, at the end of each call, what was counted in it."""

    @functools.wraps(handler)
    def handle(event: E, context: Any) -> T:
        try:
            return handler(event, context)
        finally:
            flush_metrics()

    return handle
