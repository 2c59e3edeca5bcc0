"""A fake of the port Metrics."""

from functions.shared.metrics import METRICS, Counter, Gauge, Histogram, Metric

Key = tuple[str, frozenset[tuple[str, str]]]


class FakeMetrics:
    """Keeps what was counted. It is stricter than the real ones: what they leave out is an error in a test."""

    def __init__(self) -> None:
        self.flushed = 0
        self._values: dict[Key, list[float]] = {}

    def count(self, metric: Counter, by: float = 1, /, **labels: str) -> None:
        assert isinstance(metric, Counter)
        assert by >= 0
        key = self._key(metric, labels)
        self._values[key] = [*self._values.get(key, []), by]

    def observe(self, metric: Histogram, value: float, /, **labels: str) -> None:
        assert isinstance(metric, Histogram)
        key = self._key(metric, labels)
        self._values[key] = [*self._values.get(key, []), value]

    def set(self, metric: Gauge, value: float, /, **labels: str) -> None:
        assert isinstance(metric, Gauge)
        self._values[self._key(metric, labels)] = [value]

    def add(self, metric: Gauge, by: float, /, **labels: str) -> None:
        self.set(metric, self.value(metric, **labels) + by, **labels)

    def flush(self) -> None:
        self.flushed += 1

    def value(self, metric: Metric, /, **labels: str) -> float:
        """Return what a counter or a gauge stands at, and of a histogram the sum."""
        return sum(self.values(metric, **labels))

    def values(self, metric: Metric, /, **labels: str) -> list[float]:
        """Return what was counted or observed, in its order."""
        return self._values.get(self._key(metric, labels), [])

    def _key(self, metric: Metric, labels: dict[str, str]) -> Key:
        assert metric in METRICS
        assert labels.keys() == set(metric.labels)
        assert all(isinstance(value, str) for value in labels.values())
        return metric.name, frozenset(labels.items())
