"""Metrics as Prometheus reads them: on a port of their own, which clients of the service never see."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from functions.shared.metrics import (
    NAMESPACE,
    NO_METRICS,
    Counter,
    Gauge,
    Histogram,
    Metric,
    Metrics,
    MetricsSettings,
    Sink,
    use_metrics,
)
from functions.shared.once import once
from functions.shared.settings import InvalidSettings, from_env

_KINDS = {Counter: prometheus_client.Counter, Gauge: prometheus_client.Gauge, Histogram: prometheus_client.Histogram}

_logger = logging.getLogger(__name__)


class ServerSettings(MetricsSettings, frozen=True, kw_only=True):
    """Where a process tells its metrics. Without METRICS_PORT nobody listens."""

    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class PrometheusMetrics:
    """Implements Metrics. A metric is there once it was used, so that no process tells what it does not know."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._made: dict[Metric, MetricWrapperBase] = {}
        # By metric and values of labels: what prometheus_client would look up under a lock of its own.
        self._series: dict[tuple[Metric, tuple[str, ...]], MetricWrapperBase] = {}

    def count(self, metric: Counter, by: float = 1, /, **labels: str) -> None:
        """See Metrics."""
        self._note(metric, labels, lambda series: series.inc(by))

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """See Metrics."""
        self._note(metric, labels, lambda series: series.observe(value))

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """See Metrics."""
        self._note(metric, labels, lambda series: series.set(value))

    def add(self, metric: Gauge, by: float, /, **labels: str) -> None:
        """See Metrics."""
        self._note(metric, labels, lambda series: series.inc(by))

    def flush(self) -> None:
        """See Metrics."""

    def _note(self, metric: Metric, labels: Mapping[str, str], note: Callable[[Any], None]) -> None:
        try:
            note(self._of(metric, labels))
        except Exception:  # noqa: BLE001  # a request is worth more than its count
            _lost(metric)

    def _of(self, metric: Metric, labels: Mapping[str, str]) -> Any:
        key = (metric, tuple([labels[name] for name in metric.labels]))
        series = self._series.get(key)
        if series is None or len(labels) != len(metric.labels):
            with self._lock:
                made = self._made.get(metric) or self._make(metric)
                series = self._series[key] = made.labels(**labels) if labels else made
        return series

    def _make(self, metric: Metric) -> MetricWrapperBase:
        buckets = {"buckets": metric.buckets} if isinstance(metric, Histogram) else {}
        made: MetricWrapperBase = _KINDS[type(metric)](
            metric.name, metric.help, metric.labels, namespace=NAMESPACE, registry=self._registry, **buckets
        )
        self._made[metric] = made
        return made


def _of_process() -> PrometheusMetrics:
    # When each series began to count is as much text as what it has counted.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    return PrometheusMetrics(REGISTRY)


# One for the process, as the registry is: in it are also its memory, its CPU time and its open files.
prometheus_metrics = once(_of_process)


def start_metrics(environ: Mapping[str, str]) -> Metrics:
    """Return what this process counts with, and its functions do, and tell it at METRICS_PORT if that is set.

    EMF is for functions alone: here it is as none. Raises InvalidSettings: also if the port is taken.
    """
    settings = from_env(ServerSettings, environ)
    if settings.metrics is not Sink.PROMETHEUS:
        if settings.metrics_port is not None:
            raise InvalidSettings("The environment variable METRICS_PORT is set, which needs METRICS=prometheus.")
        return NO_METRICS
    metrics = prometheus_metrics()
    use_metrics(metrics)
    if settings.metrics_port is not None:
        _listen(settings.metrics_host, settings.metrics_port)
    return metrics


def _listen(host: str, port: int) -> None:
    try:
        # Threads of their own, which do not keep the process from ending.
        prometheus_client.start_http_server(port, host)
    except OSError as error:
        raise InvalidSettings(
            f"The environment variable METRICS_PORT cannot be used: port {port} of {host}: {error.strerror}."
        ) from error


def _lost(metric: Metric) -> None:
    _logger.warning("not counted: %s", metric.name, exc_info=True)  # noqa: LOG014  # called in a handler
