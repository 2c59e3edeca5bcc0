"""Metrics as lines of the log that CloudWatch reads: its Embedded Metric Format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import threading
from collections.abc import Callable

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from functions.shared.metrics import NAMESPACE, Counter, Gauge, Histogram, Metric

# Whoever does not flush must not fill the memory, and CloudWatch takes no more values of one metric in a line.
_KEPT = 100

_logger = logging.getLogger(__name__)


class EmfMetrics:
    """Implements Metrics. Values are kept until `flush`, which writes one line for each set of labels.

    The dimensions of a metric are its service and its stage; each other combination of labels would be a metric that is
    paid for. Labels are properties of the line, by which Logs Insights can tell its values apart. What is added to a
    gauge is left out: each call of a function knows only of itself.
    """

    def __init__(self, service: str, stage: str, write: Callable[[str], object] | None = None) -> None:
        self._service = service
        self._stage = stage
        self._write = write or _print
        self._lock = threading.Lock()
        self._kept: list[tuple[Metric, float, dict[str, str]]] = []

    def count(self, metric: Counter, by: float = 1, /, **labels: str) -> None:
        """See Metrics."""
        self._keep(metric, by, labels)

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        """See Metrics."""
        self._keep(metric, value, labels)

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        """See Metrics."""
        self._keep(metric, value, labels)

    def add(self, metric: Gauge, by: float, /, **labels: str) -> None:
        """See Metrics."""

    def flush(self) -> None:
        """See Metrics."""
        with self._lock:
            kept, self._kept = self._kept, []
        by_labels: dict[tuple[tuple[str, str], ...], list[tuple[Metric, float]]] = {}
        for metric, value, labels in kept:
            by_labels.setdefault(tuple(sorted(labels.items())), []).append((metric, value))
        for key, values in by_labels.items():
            try:
                self._write(json.dumps(self._line(dict(key), values)))
            except Exception:  # whatever it is, the call has done its work
                _logger.warning("metrics are lost", exc_info=True)

    def _keep(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        if labels.keys() != set(metric.labels):
            _logger.warning("no such labels: %s %s", metric.name, sorted(labels))
            return
        with self._lock:
            self._kept.append((metric, value, labels))
            is_full = len(self._kept) >= _KEPT
        if is_full:
            self.flush()

    def _line(self, labels: dict[str, str], values: list[tuple[Metric, float]]) -> object:
        line = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=self._service, metadata_set={**labels})
        line.add_dimension("service", self._service)
        line.add_dimension("stage", self._stage)
        by_metric: dict[Metric, list[float]] = {}
        for metric, value in values:
            by_metric.setdefault(metric, []).append(float(value))
        # Not by add_metric, which prints by itself what is a hundred.
        return line.serialize_metric_set(
            metrics={
                metric.name: {
                    "Unit": MetricUnit(metric.unit).value,
                    "Value": [sum(all_values)] if isinstance(metric, Counter) else all_values,
                }
                for metric, all_values in by_metric.items()
            }
        )


def _print(line: str) -> None:
    # CloudWatch reads what is printed. A line of two writes could be cut in two by another thread's.
    print(f"{line}\n", end="", flush=True)
