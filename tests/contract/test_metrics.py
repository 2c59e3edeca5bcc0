"""The port Metrics: the fake, Prometheus and CloudWatch count the same."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from functions.shared.emf_metrics import EmfMetrics
from functions.shared.metrics import (
    CONVERSION_SECONDS,
    CONVERSIONS_COMPLETED,
    CONVERSIONS_QUEUED,
    EVENTS_PUBLISHED,
    METRICS,
    NAMESPACE,
    REQUESTS,
    REQUESTS_UNDER_WAY,
    UPLOAD_BYTES,
    Counter,
    Gauge,
    Histogram,
    Metric,
    Metrics,
)
from infra.metrics import PrometheusMetrics
from tests.fakes.metrics import FakeMetrics

# Returns what a metric stands at; of a histogram the sum of what was observed.
Read = Callable[[Metric, dict[str, str]], float]


def fake() -> tuple[Metrics, Read]:
    metrics = FakeMetrics()
    return metrics, lambda metric, labels: metrics.value(metric, **labels)


def prometheus() -> tuple[Metrics, Read]:
    registry = CollectorRegistry()

    def read(metric: Metric, labels: dict[str, str]) -> float:
        suffix = {Counter: "_total", Histogram: "_sum", Gauge: ""}[type(metric)]
        families = text_string_to_metric_families(generate_latest(registry).decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"{NAMESPACE}_{metric.name}{suffix}" and sample.labels == labels
        )

    return PrometheusMetrics(registry), read


def cloudwatch() -> tuple[Metrics, Read]:
    lines: list[str] = []
    metrics = EmfMetrics("upload", "prod", lines.append)

    def read(metric: Metric, labels: dict[str, str]) -> float:
        metrics.flush()
        found = [json.loads(line) for line in lines]
        values = [
            each[metric.name]
            for each in found
            if metric.name in each and all(each[name] == labels[name] for name in labels)
        ]
        return values[-1][-1] if isinstance(metric, Gauge) and values else sum(sum(each) for each in values)

    return metrics, read


@pytest.fixture(params=[fake, prometheus, cloudwatch], ids=lambda make: make.__name__)
def counted(request: pytest.FixtureRequest) -> tuple[Metrics, Read]:
    made: tuple[Metrics, Read] = request.param()
    return made


def test_what_is_counted_adds_up(counted: tuple[Metrics, Read]):
    """One and one, and so many bytes at once."""
    metrics, read = counted

    metrics.count(CONVERSIONS_COMPLETED)
    metrics.count(CONVERSIONS_COMPLETED)
    metrics.count(CONVERSIONS_COMPLETED, 3)

    assert read(CONVERSIONS_COMPLETED, {}) == 5


def test_labels_are_counted_apart(counted: tuple[Metrics, Read]):
    """In whatever order a caller names them."""
    metrics, read = counted

    metrics.count(REQUESTS, route="/v1/uploads", method="POST", status="2xx")
    metrics.count(REQUESTS, status="2xx", method="POST", route="/v1/uploads")
    metrics.count(REQUESTS, route="/v1/uploads", method="POST", status="5xx")

    assert read(REQUESTS, {"route": "/v1/uploads", "method": "POST", "status": "2xx"}) == 2
    assert read(REQUESTS, {"route": "/v1/uploads", "method": "POST", "status": "5xx"}) == 1


def test_values_are_observed(counted: tuple[Metrics, Read]):
    """With and without labels."""
    metrics, read = counted

    metrics.observe(CONVERSION_SECONDS, 0.5)
    metrics.observe(CONVERSION_SECONDS, 2.25)
    metrics.observe(UPLOAD_BYTES, 1000, kind="tus")

    assert read(CONVERSION_SECONDS, {}) == 2.75
    assert read(UPLOAD_BYTES, {"kind": "tus"}) == 1000


def test_a_gauge_is_what_it_was_set_to_last(counted: tuple[Metrics, Read]):
    """Sweep looks each minute, and what it saw before is over."""
    metrics, read = counted

    metrics.set(CONVERSIONS_QUEUED, 7)
    metrics.set(CONVERSIONS_QUEUED, 2)

    assert read(CONVERSIONS_QUEUED, {}) == 2


@pytest.mark.parametrize("make", [fake, prometheus])
def test_what_is_under_way_comes_and_goes(make: Callable[[], tuple[Metrics, Read]]):
    """CloudWatch has no such metric: each call of a function knows only of itself."""
    metrics, read = make()

    metrics.add(REQUESTS_UNDER_WAY, 1)
    metrics.add(REQUESTS_UNDER_WAY, 1)
    metrics.add(REQUESTS_UNDER_WAY, -1)

    assert read(REQUESTS_UNDER_WAY, {}) == 1


@pytest.mark.parametrize("make", [prometheus, cloudwatch])
def test_many_threads_lose_nothing(make: Callable[[], tuple[Metrics, Read]]):
    """The gateway runs functions in dozens of threads."""
    metrics, read = make()

    def work() -> None:
        for _ in range(200):
            metrics.count(EVENTS_PUBLISHED, event="video.uploaded")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert read(EVENTS_PUBLISHED, {"event": "video.uploaded"}) == 1600


@pytest.mark.parametrize("make", [prometheus, cloudwatch])
@pytest.mark.parametrize(
    "labels", [{}, {"event": "x", "more": "y"}, {"other": "x"}], ids=["missing", "too many", "another"]
)
def test_what_cannot_be_counted_fails_nobody(
    make: Callable[[], tuple[Metrics, Read]], labels: dict[str, str], caplog: pytest.LogCaptureFixture
):
    """A request is worth more than its count. The log says what is wrong, and the next is counted."""
    metrics, read = make()

    with caplog.at_level(logging.WARNING):
        metrics.count(EVENTS_PUBLISHED, **labels)
    metrics.count(EVENTS_PUBLISHED, event="x")

    assert EVENTS_PUBLISHED.name in caplog.text
    assert read(EVENTS_PUBLISHED, {"event": "x"}) == 1


def test_a_counter_does_not_go_back(caplog: pytest.LogCaptureFixture):
    """Prometheus would take it for a restart."""
    metrics, read = prometheus()

    metrics.count(CONVERSIONS_COMPLETED, -1)

    assert read(CONVERSIONS_COMPLETED, {}) == 0
    assert "not counted" in caplog.text


# Prometheus


def test_every_metric_can_be_told_to_prometheus():
    """Names and labels have to be of the letters that it takes, and names of no two metrics may clash."""
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry)

    for metric in METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        if isinstance(metric, Counter):
            metrics.count(metric, **labels)
        elif isinstance(metric, Histogram):
            metrics.observe(metric, 1, **labels)
        elif isinstance(metric, Gauge):
            metrics.set(metric, 1, **labels)

    families = {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}
    for metric in METRICS:
        family = families[f"{NAMESPACE}_{metric.name}"]
        assert (family.type, family.documentation) == (type(metric).__name__.lower(), metric.help)


def test_what_nobody_used_is_not_told():
    """The gateway must not say that nothing is queued: it does not know."""
    registry = CollectorRegistry()
    PrometheusMetrics(registry).count(CONVERSIONS_COMPLETED)

    assert CONVERSIONS_QUEUED.name not in generate_latest(registry).decode()


# CloudWatch

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
EMF: dict[str, Any] = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "properties": {
                            "Namespace": {"const": "video2mp3"},
                            "Dimensions": {"const": [["service", "stage"]]},
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name", "Unit"],
                                    "properties": {"Unit": {"enum": ["Seconds", "Bytes", "Count", "None"]}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def test_cloudwatch_can_read_the_lines():
    """A line that it cannot read is a line of the log, and no metric."""
    lines: list[str] = []
    metrics = EmfMetrics("upload", "prod", lines.append)
    metrics.observe(UPLOAD_BYTES, 123, kind="tus")
    metrics.observe(UPLOAD_BYTES, 456, kind="tus")
    metrics.count(EVENTS_PUBLISHED, event="video.uploaded")
    metrics.count(EVENTS_PUBLISHED, event="video.uploaded")

    metrics.flush()

    sizes, events = map(json.loads, lines)
    for line in (sizes, events):
        jsonschema.validate(line, EMF)
        assert (line["service"], line["stage"]) == ("upload", "prod")
    assert sizes["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "upload_bytes", "Unit": "Bytes"}]
    assert (sizes["kind"], sizes["upload_bytes"]) == ("tus", [123.0, 456.0])
    assert (events["event"], events["events_published"]) == ("video.uploaded", [2.0])


def test_each_value_is_handed_over_once():
    """Otherwise each call of a sandbox would tell again what the calls before it did."""
    lines: list[str] = []
    metrics = EmfMetrics("upload", "prod", lines.append)
    metrics.count(CONVERSIONS_COMPLETED)

    metrics.flush()
    metrics.flush()

    assert len(lines) == 1


def test_who_does_not_flush_does_not_fill_the_memory():
    """And CloudWatch takes a hundred values in a line."""
    lines: list[str] = []
    metrics = EmfMetrics("upload", "prod", lines.append)

    for number in range(250):
        metrics.observe(CONVERSION_SECONDS, number)

    assert [len(json.loads(line)["conversion_seconds"]) for line in lines] == [100, 100]


def test_a_log_that_takes_nothing_fails_nobody(caplog: pytest.LogCaptureFixture):
    """Standard output may be closed. The call has done its work by then."""

    def refuse(_line: str) -> None:
        raise OSError("closed")

    metrics = EmfMetrics("upload", "prod", refuse)
    metrics.count(CONVERSIONS_COMPLETED)

    metrics.flush()

    assert "metrics are lost" in caplog.text


def test_no_label_hides_a_metric_or_a_dimension():
    """All of them are fields of one object."""
    names = {metric.name for metric in METRICS} | {"service", "stage", "_aws"}

    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert not names & {label for metric in METRICS for label in metric.labels}
