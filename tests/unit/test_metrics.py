"""What is counted, where, and who is told; with fakes for what counts."""

import ast
import contextlib
import dataclasses
import importlib
import io
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import functions.shared.metrics
from functions.convert.convert import Deps as ConvertDeps
from functions.convert.convert import convert
from functions.convert.counted_claims import CountedClaims
from functions.convert.failures import AttemptFailed, Interrupted, NoAudioTrack
from functions.convert.heartbeat import Deadline
from functions.convert.pauses import Pauses
from functions.shared.conversions import State
from functions.shared.counted_events import CountedEvents
from functions.shared.events import NotPublished
from functions.shared.http import HttpFunction, no_content
from functions.shared.logs import get_logger
from functions.shared.metrics import (
    ATTEMPTS_RELEASED,
    BACKLOG_TIMESTAMP_SECONDS,
    CALL_SECONDS,
    CALLS,
    CALLS_UNDER_WAY,
    CLAIMS_LOST,
    CONVERSION_ATTEMPTS,
    CONVERSION_SECONDS,
    CONVERSION_SPEED,
    CONVERSION_WAIT_SECONDS,
    CONVERSIONS_COMPLETED,
    CONVERSIONS_CONVERTING,
    CONVERSIONS_FAILED,
    CONVERSIONS_QUEUED,
    ENDS_UNTOLD,
    EVENTS_NOT_PUBLISHED,
    EVENTS_OWED,
    EVENTS_PUBLISHED,
    METRICS,
    MP3_BYTES,
    NO_METRICS,
    OLDEST_OWED_SECONDS,
    OLDEST_QUEUED_SECONDS,
    OLDEST_UNTOLD_SECONDS,
    QUEUE_MESSAGES,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_UNDER_WAY,
    RESPONSE_BYTES,
    Histogram,
    connect_metrics,
    flushing,
    use_metrics,
)
from functions.shared.settings import InvalidSettings
from functions.sweep.backlog import Waiting, measure
from infra.host.calls import Calls
from infra.invoke import FunctionFailed
from infra.local.processes import ServerFailed, free_port
from infra.local.supervisor import _metrics_ports
from infra.metrics import start_metrics
from infra.template import ScheduleTrigger, load_template
from infra.triggers.schedule import Schedule
from tests.conversions import VIDEO, conversion, event
from tests.fakes.convert import FakeClaims, FakeEncoder
from tests.fakes.gateway import LOGIN, TOKEN, FakeFunctions, make_gateway, send
from tests.fakes.metrics import FakeMetrics
from tests.fakes.shared import FakeClock, FakeConversions, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox

ROOT = Path(__file__).parents[2]
OBSERVING = (ROOT / "docs/observing.md").read_text()


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process counts with is kept for its life."""
    monkeypatch.setattr(functions.shared.metrics, "_made", {})
    monkeypatch.delenv("METRICS", raising=False)
    yield
    use_metrics(None)


Logged = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What the gateway and download log, line by line."""
    texts: dict[str, io.StringIO] = {}
    handlers: dict[str, logging.Handler] = {}
    for name in ("gateway", "download"):
        handlers[name] = logging.StreamHandler(texts.setdefault(name, io.StringIO()))
        handlers[name].setFormatter(get_logger(name).registered_formatter)
        logging.getLogger(name).addHandler(handlers[name])
    yield lambda name: [json.loads(line) for line in texts[name].getvalue().splitlines()]
    for name, handler in handlers.items():
        logging.getLogger(name).removeHandler(handler)


# Where it goes


def test_without_a_setting_nothing_is_counted():
    """Whoever calls a function from a test is not told how often."""
    assert connect_metrics("upload") is NO_METRICS


def test_whoever_runs_functions_brings_what_they_count_with():
    """All functions of a process share its registry of Prometheus, of which they know nothing."""
    metrics = FakeMetrics()

    use_metrics(metrics)

    assert connect_metrics("upload") is connect_metrics("notify") is metrics


def test_a_setting_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch):
    """By its name, and before anything is counted into the void."""
    monkeypatch.setenv("METRICS", "statsd")

    with pytest.raises(InvalidSettings, match="METRICS"):
        connect_metrics("upload")
    with pytest.raises(InvalidSettings, match="METRICS"):
        start_metrics({"METRICS": "statsd"})


def test_a_function_on_lambda_hands_over_at_the_end_of_each_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Between two calls its sandbox stands still, perhaps for ever. So also when the call fails."""
    monkeypatch.setenv("METRICS", "emf")
    monkeypatch.setenv("STAGE", "prod")

    def work(fails: bool, _context: Any) -> None:
        connect_metrics("convert").count(CONVERSIONS_COMPLETED)
        assert not fails

    handler = flushing(work)
    handler(False, None)
    [line] = capsys.readouterr().out.splitlines()
    with pytest.raises(AssertionError):
        handler(True, None)

    assert json.loads(line)["conversions_completed"] == [1.0]
    assert (json.loads(line)["service"], json.loads(line)["stage"]) == ("convert", "prod")
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("package", ["convert", "notify", "sweep"])
def test_each_function_that_is_called_with_events_hands_over(package: str, monkeypatch: pytest.MonkeyPatch):
    """HTTP functions have that in common; these have not."""
    flushed: list[bool] = []
    monkeypatch.setattr(functions.shared.metrics, "flush_metrics", lambda: flushed.append(True))
    monkeypatch.delenv("MONGODB_URL", raising=False)
    handler = importlib.import_module(f"functions.{package}.app").handler

    # Without settings it fails as soon as it wants to connect.
    with contextlib.suppress(InvalidSettings):
        handler({"rmqMessagesByQueue": {}}, SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000))

    assert flushed == [True]


def test_an_http_function_hands_over_likewise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Its calls end where all of them pass."""
    monkeypatch.setenv("METRICS", "emf")
    app = HttpFunction("upload")

    @app.route("/v1/uploads/{upload_id}", methods=["DELETE"])
    def delete(upload_id: str) -> Any:
        connect_metrics("upload").count(EVENTS_PUBLISHED, event="video.uploaded")
        return no_content()

    functions = FakeFunctions(lambda event: app(event, None))
    assert send(make_gateway(functions), "DELETE", "/v1/uploads/u1", headers=TOKEN).status_code == 204

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["events_published"] for line in lines if "_aws" in line] == [[1.0]]


# The listener


def test_metrics_are_told_on_a_port_of_their_own():
    """In Prometheus' text, with what is known of the process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    metrics = start_metrics({"METRICS": "prometheus", "METRICS_PORT": str(port)})
    metrics.count(EVENTS_NOT_PUBLISHED, event="a test")
    told = httpx.get(f"http://127.0.0.1:{port}/metrics").text

    assert 'video2mp3_events_not_published_total{event="a test"} 1.0' in told
    assert "process_resident_memory_bytes" in told
    assert "_created" not in told


def test_a_port_that_is_taken_is_told_by_its_setting():
    """Somebody else's metrics must not be taken for ours."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(InvalidSettings, match=rf"METRICS_PORT cannot be used: port {port} of 127\.0\.0\.1"):
            start_metrics({"METRICS": "prometheus", "METRICS_PORT": str(port)})


@pytest.mark.parametrize(
    "environ",
    [
        {"METRICS_PORT": "9100"},
        {"METRICS": "emf", "METRICS_PORT": "9100"},
        {"METRICS": "prometheus", "METRICS_PORT": "0"},
        {"METRICS": "prometheus", "METRICS_PORT": "65536"},
        {"METRICS": "prometheus", "METRICS_PORT": "here"},
    ],
)
def test_a_port_without_sense_is_refused(environ: dict[str, str]):
    """Whoever sets it expects to be told something there."""
    with pytest.raises(InvalidSettings, match="METRICS_PORT"):
        start_metrics(environ)


def test_a_laptop_has_a_port_for_each_process():
    """A listener has one for itself."""
    ports = _metrics_ports({"METRICS": "prometheus"})

    assert len({ports["gateway"], ports["triggers"]}) == 2
    assert _metrics_ports({"METRICS": "none", "METRICS_PORT": "9100"}) == {}


def test_the_ports_of_a_laptop_can_be_chosen():
    """Prometheus wants to find them again tomorrow."""
    first = free_port()

    assert _metrics_ports({"METRICS": "prometheus", "METRICS_PORT": str(first)}) == {
        "gateway": first,
        "triggers": first + 1,
    }


@pytest.mark.parametrize("port", ["65535", "-1", "here"])
def test_ports_of_a_laptop_that_are_none_are_told(port: str):
    """Before anything is started."""
    with pytest.raises(ServerFailed, match="METRICS_PORT"):
        _metrics_ports({"METRICS": "prometheus", "METRICS_PORT": port})


def test_a_laptops_second_port_that_is_taken_is_told_too():
    """The triggers would start again and again, and nobody would see why."""
    first = free_port()

    with socket.create_server(("127.0.0.1", first + 1)), pytest.raises(ServerFailed, match=f"Port {first + 1}"):
        _metrics_ports({"METRICS": "prometheus", "METRICS_PORT": str(first)})


# The gateway


def test_each_request_is_counted_by_its_route():
    """Never by its path: there are as many of those as conversions, and some hold the token of a link."""
    metrics = FakeMetrics()
    gateway = make_gateway(FakeFunctions(), metrics=metrics)

    send(gateway, "GET", "/v1/conversions/c1/mp3", headers=TOKEN)
    send(gateway, "GET", "/v1/downloads/the-token")
    send(gateway, "POST", LOGIN, content=b"12345")
    send(gateway, "GET", "/v1/nothing", headers=TOKEN)
    send(gateway, "BREW", "/v1/conversions")

    mp3 = "/v1/conversions/{conversion_id}/mp3"
    assert metrics.value(REQUESTS, route=mp3, method="GET", status="2xx") == 1
    assert metrics.value(REQUESTS, route="/v1/downloads/{token}", method="GET", status="2xx") == 1
    assert metrics.value(REQUESTS, route="-", method="-", status="4xx") == 2
    assert len(metrics.values(REQUEST_SECONDS, route=mp3, method="GET")) == 1
    assert metrics.value(REQUEST_BYTES, route=LOGIN) == 5
    assert metrics.value(RESPONSE_BYTES, route=LOGIN) == 2
    assert metrics.value(REQUESTS_UNDER_WAY) == 0


def test_a_request_under_way_is_one_until_it_is_answered():
    """How many there are at once tells whether somebody hangs."""
    metrics = FakeMetrics()
    seen: list[float] = []
    functions = FakeFunctions(lambda _: seen.append(metrics.value(REQUESTS_UNDER_WAY)))

    send(make_gateway(functions, metrics=metrics), "POST", LOGIN)

    assert seen == [1]
    assert metrics.value(REQUESTS, route=LOGIN, method="POST", status="5xx") == 1


@pytest.mark.parametrize(
    ("method", "path", "answer", "conversion_id"),
    [
        ("GET", "/v1/conversions/c1", {}, "c1"),
        ("PATCH", "/v1/uploads/u1", {}, "u1"),
        ("POST", "/v1/conversions", {"statusCode": 202, "headers": {"Location": "/v1/conversions/c2"}}, "c2"),
        ("POST", "/v1/uploads", {"statusCode": 201, "headers": {"Location": "/v1/uploads/u2"}}, "u2"),
        ("GET", "/v1/conversions/a%0ab", {}, None),
        ("GET", f"/v1/conversions/{'c' * 65}", {}, None),
        ("GET", "/v1/conversions", {}, None),
        ("GET", "/v1/downloads/the-token", {}, None),
        ("GET", "/v1/conversions/c1", {"statusCode": "nonsense"}, "c1"),
    ],
)
def test_the_log_says_which_conversion_a_request_was_about(
    method: str, path: str, answer: dict[str, Any], conversion_id: str | None, logged: Logged
):
    """From the creation of an upload on; what is no id, and the token of a link, stays out."""
    functions = FakeFunctions({"statusCode": 200, "headers": {}, "body": "", **answer})

    send(make_gateway(functions), method, path, headers={**TOKEN, "Tus-Resumable": "1.0.0"})

    lines = logged("gateway")
    assert [line.get("conversion_id") for line in lines] == [conversion_id] * len(lines)
    assert "request" in [line["message"] for line in lines]


def test_a_function_logs_which_conversion_its_path_names(logged: Logged):
    """Also where a rule says nothing of it."""
    app = HttpFunction("download")

    @app.route("/v1/conversions/{conversion_id}", methods=["GET"])
    def show(conversion_id: str) -> Any:
        raise RuntimeError("unforeseen")

    send(make_gateway(FakeFunctions(lambda event: app(event, None))), "GET", "/v1/conversions/c1", headers=TOKEN)

    lines = [*logged("download"), *logged("gateway")]
    assert [line["message"] for line in lines] == ["unforeseen error", "request"]
    assert {line["conversion_id"] for line in lines} == {"c1"}


# Hosts


def test_a_host_counts_its_calls(caplog: pytest.LogCaptureFixture):
    """And says which conversion a call was about, as far as its path does."""
    metrics = FakeMetrics()
    health = load_template().functions["HealthFunction"]
    calls = Calls(
        {"HealthFunction": health}, prefix="", new_id=lambda: "r1", logger=get_logger("host"), metrics=metrics
    )

    with caplog.at_level(logging.INFO):
        calls.run("HealthFunction", [b'{"pathParameters": {"conversion_id": "c1"}}'])

    assert metrics.value(CALLS, function="HealthFunction", outcome="failed") == 1
    assert metrics.value(CALLS_UNDER_WAY, function="HealthFunction") == 0


# Schedules


@pytest.mark.parametrize("fails", [False, True])
def test_a_scheduled_call_is_counted_with_its_outcome(fails: bool):
    """Who is called by nobody else is missed by nobody else."""
    metrics, stopping = FakeMetrics(), threading.Event()

    class Functions:
        def invoke(self, function_name: str, event: Any) -> Any:
            stopping.set()
            if fails:
                raise FunctionFailed(function_name, "SweepFailed", "A rule failed.")

    Schedule(
        ScheduleTrigger("SweepFunction", 0),
        Functions(),
        stopping=stopping,
        logger=get_logger("triggers"),
        clock=FakeClock(),
        new_id=lambda: "id1",
        first_after_s=0,
        metrics=metrics,
    ).run()

    assert metrics.value(CALLS, function="SweepFunction", outcome="failed" if fails else "done") == 1
    assert len(metrics.values(CALL_SECONDS, function="SweepFunction")) == 1
    assert metrics.value(CALLS_UNDER_WAY, function="SweepFunction") == 0


# Conversions


class World:
    """A converter with one uploaded video `c1`, whose encoder takes four seconds."""

    def __init__(self) -> None:
        self.database, self.metrics, self.now = FakeDatabase(), FakeMetrics(), 0.0
        self.encoder, self.clock = FakeEncoder(), FakeClock()
        self.videos = FakeFiles()
        self.claims = FakeClaims(self.database, lease_s=30)
        self.deps = ConvertDeps(
            claims=CountedClaims(self.claims, self.metrics, self.ticking),
            videos=self.videos,
            mp3s=FakeFiles(),
            encoder=self.encoder,
            events=CountedEvents(FakeEvents(), self.metrics),
            outbox=FakeOutbox(self.database),
            clock=self.clock,
            new_id=iter(map(str, range(1000))).__next__,
            logger=get_logger("convert"),
            holder="worker-1",
            lease_s=30,
            max_attempts=3,
            pauses=Pauses(first_s=10),
            metrics=self.metrics,
        )
        self.videos.put("c1", [VIDEO])
        FakeConversions(self.database).add(conversion(), [])

    def ticking(self) -> float:
        self.now += 4
        return self.now

    def convert(self) -> None:
        uploaded = event()
        self.clock.now = uploaded.occurred_at + timedelta(seconds=7)
        convert(uploaded, self.deps, Deadline(lambda: 3600.0))


def failing(error: Exception) -> Callable[[object], None]:
    def fail(_: object) -> None:
        raise error

    return fail


@pytest.fixture
def world() -> World:
    return World()


def test_a_conversion_is_counted_with_how_it_went(world: World):
    """How long it waited, how long it took, and how quick that was."""
    world.convert()

    mp3 = world.database.records["c1"].conversion.mp3
    assert mp3 is not None
    metrics = world.metrics
    assert metrics.value(CONVERSIONS_COMPLETED) == 1
    assert metrics.values(CONVERSION_ATTEMPTS) == [1]
    assert metrics.values(CONVERSION_WAIT_SECONDS) == [7]
    assert metrics.values(CONVERSION_SECONDS) == [4]
    assert metrics.values(CONVERSION_SPEED) == [mp3.duration_s / 4]
    assert metrics.values(MP3_BYTES) == [mp3.bytes]
    assert metrics.value(EVENTS_PUBLISHED, event="conversion.completed") == 1


def test_nobody_waits_for_less_than_nothing(world: World):
    """The clocks of two machines differ. Prometheus would take a sum that falls for a restart."""
    uploaded = event()
    world.clock.now = uploaded.occurred_at - timedelta(seconds=2)

    convert(uploaded, world.deps, Deadline(lambda: 3600.0))

    assert world.metrics.values(CONVERSION_WAIT_SECONDS) == [0]


def test_a_failure_is_counted_by_its_type(world: World):
    """What people upload, and what we do wrong, have different types."""
    world.encoder.then = failing(NoAudioTrack())

    world.convert()

    assert world.metrics.value(CONVERSIONS_FAILED, failure="no-audio-track") == 1
    assert world.metrics.value(CONVERSIONS_COMPLETED) == 0


def test_attempts_that_failed_are_counted_and_the_wait_only_once(world: World):
    """The pauses between attempts are ours, and say nothing of how busy the workers are."""
    world.encoder.then = failing(AttemptFailed("ffmpeg died"))
    world.convert()
    world.encoder.then = lambda _: None
    world.convert()

    assert world.metrics.value(ATTEMPTS_RELEASED, reason="failed") == 1
    assert world.metrics.values(CONVERSION_ATTEMPTS) == [2]
    assert len(world.metrics.values(CONVERSION_WAIT_SECONDS)) == 1


def test_a_wait_is_counted_once_although_the_host_stopped(world: World):
    """The interrupted attempt does not count as one, but the wait was over when it began."""
    world.encoder.then = failing(Interrupted("The host is stopping."))
    with pytest.raises(Interrupted):
        world.convert()
    world.encoder.then = lambda _: None
    world.convert()

    assert world.metrics.value(ATTEMPTS_RELEASED, reason="stopping") == 1
    assert world.metrics.values(CONVERSION_ATTEMPTS) == [1]
    assert len(world.metrics.values(CONVERSION_WAIT_SECONDS)) == 1


def test_a_lost_claim_is_counted_once_and_its_end_is_not(world: World):
    """Whoever has the conversion now counts its end."""
    claim = world.deps.claims.claim("c1", "worker-1")
    assert claim is not None
    world.database.records["c1"].fence += 1

    with pytest.raises(Exception, match="c1"):
        world.deps.claims.renew(claim, 0.5)

    assert world.metrics.value(CLAIMS_LOST) == 1
    assert world.metrics.value(CONVERSIONS_COMPLETED) == 0


def test_events_that_nobody_took_are_counted():
    """The error goes on to whoever owes the event."""
    metrics, events = FakeMetrics(), FakeEvents()
    events.down = True

    with pytest.raises(NotPublished):
        CountedEvents(events, metrics).publish(event())

    assert metrics.value(EVENTS_NOT_PUBLISHED, event="video.uploaded") == 1
    assert metrics.value(EVENTS_PUBLISHED, event="video.uploaded") == 0


# sweep


class SomeWait:
    """Implements Backlog."""

    def in_state(self, state: State) -> Waiting:
        return {State.QUEUED: Waiting(3, 12.5), State.CONVERTING: Waiting(2, 1.0)}[state]

    def owing(self) -> Waiting:
        return Waiting(4, 60.0)

    def untold(self, within: timedelta) -> Waiting:
        return Waiting(1, within.total_seconds())


def test_what_waits_is_noted_with_when_it_was_seen():
    """A gauge that stands still looks like a service where nothing waits."""
    metrics, clock = FakeMetrics(), FakeClock()

    measure(SomeWait(), lambda: {"q": 5, "q.dlq": 1}, timedelta(seconds=9), clock, metrics)

    assert [metrics.value(each) for each in (CONVERSIONS_QUEUED, OLDEST_QUEUED_SECONDS)] == [3, 12.5]
    assert metrics.value(CONVERSIONS_CONVERTING) == 2
    assert [metrics.value(each) for each in (EVENTS_OWED, OLDEST_OWED_SECONDS)] == [4, 60]
    assert [metrics.value(each) for each in (ENDS_UNTOLD, OLDEST_UNTOLD_SECONDS)] == [1, 9]
    assert [metrics.value(QUEUE_MESSAGES, queue=queue) for queue in ("q", "q.dlq")] == [5, 1]
    assert metrics.value(BACKLOG_TIMESTAMP_SECONDS) == clock.now.timestamp()


def test_while_the_broker_is_down_what_waits_in_the_storage_is_noted_all_the_same():
    """Then above all somebody wants to know how much is owed. But not that all was seen."""
    metrics = FakeMetrics()

    def fail() -> dict[str, int]:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        measure(SomeWait(), fail, timedelta(), FakeClock(), metrics)

    assert metrics.value(EVENTS_OWED) == 4
    assert metrics.values(BACKLOG_TIMESTAMP_SECONDS) == []


# The table


def test_every_metric_is_used():
    """One that nobody counts is watched in vain."""
    code = [path for folder in ("functions", "infra") for path in (ROOT / folder).rglob("*.py")]
    used = {
        node.id
        for path in code
        if path.name != "metrics.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name)
    }
    table = {value: name for name, value in vars(functions.shared.metrics).items() if value in METRICS}

    assert [name for name in table.values() if name not in used] == []


def test_names_say_their_unit():
    """As Prometheus wants it, so that nobody takes milliseconds for seconds. CloudWatch is told the unit itself."""
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert metric.help.endswith(".")
        assert metric.name.endswith("_seconds") == (metric.unit == "Seconds")
        assert metric.name.endswith("_bytes") == (metric.unit == "Bytes")
        if isinstance(metric, Histogram):
            assert sorted(metric.buckets) == list(metric.buckets)


def test_every_metric_is_explained_and_no_other():
    """The document's table is the code's."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", OBSERVING, re.MULTILINE)
    table = [
        (each.name, type(each).__name__.lower(), ", ".join(f"`{label}`" for label in each.labels), each.help)
        for each in METRICS
    ]

    assert rows == table


def test_what_to_watch_is_measured():
    """An alarm on a name that is misspelt never comes."""
    watched = OBSERVING.partition("## What to watch")[2].partition("\n## ")[0]
    names = {
        name
        for code in re.findall(r"^\| (.*?) \|", watched, re.MULTILINE)
        for name in re.findall(r"[a-z_]+_[a-z]+", code)
    }

    known = {each.name for each in METRICS} | {f"{each.name}_total" for each in METRICS}
    assert len(names) > 15
    assert names - known - {"video_conversion_queue", "process_resident_memory_bytes"} == set()


def test_every_metric_that_was_named_with_a_label_has_it():
    """Likewise."""
    by_name = {each.name: each for each in METRICS}
    for name, label in re.findall(r"`?(\w+)\{(\w+)=", OBSERVING):
        assert label in by_name[name.removesuffix("_total")].labels


def test_deps_without_metrics_count_nothing(world: World):
    """Whoever tests a rule need not say where it counts."""
    deps = dataclasses.replace(world.deps, claims=world.claims, metrics=NO_METRICS)

    convert(event(), deps, Deadline(lambda: 3600.0))

    assert world.database.records["c1"].conversion.state is State.COMPLETED
