"""The triggers without a server: what they make of a delivery, when they call, and how long they wait."""

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pika.spec
import pytest
from pika.compat import long

from functions.shared.events import Event, EventName
from functions.shared.logs import get_logger
from functions.shared.rmq import MalformedMessage, events_in
from functions.shared.settings import InvalidSettings
from infra.invocations import Invocations
from infra.invoke import Context, FunctionFailed, FunctionUnavailable, InProcessFunctions, to_payload
from infra.template import Function, ScheduleTrigger, load_template
from infra.triggers.__main__ import only
from infra.triggers.backoff import Backoff
from infra.triggers.delivery import rmq_event
from infra.triggers.schedule import Schedule
from tests.fakes.shared import FakeClock

LOGGER = get_logger("test")


def delivery(*, redelivered: bool = False) -> pika.spec.Basic.Deliver:
    return pika.spec.Basic.Deliver("consumer", 1, redelivered, "video2mp3", "video.uploaded")


def test_a_delivery_becomes_the_event_that_lambda_makes_of_it():
    """The sample in AWS's documentation, property by property: a function cannot tell where it runs."""
    properties = pika.BasicProperties(
        content_type="text/plain",
        headers={"header1": "value1", "header2": "value2", "numberInHeader": 10},
        delivery_mode=1,
        priority=34,
        expiration="60000",
        timestamp=2021,
        user_id="AIDACKCEVSQ6C2EXAMPLE",
    )
    body = b'{"timeout":0,"data":"CZrmf0Gw8Ov4bqLQxD4E"}'

    event = rmq_event("test", "/", delivery(), properties, body)

    assert event == {
        "eventSource": "aws:rmq",
        "eventSourceArn": ("arn:aws:mq:us-east-1:000000000000:broker:video2mp3:b-00000000-0000-0000-0000-000000000000"),
        "rmqMessagesByQueue": {
            "test::/": [
                {
                    "basicProperties": {
                        "contentType": "text/plain",
                        "contentEncoding": None,
                        "headers": {
                            "header1": {"bytes": [118, 97, 108, 117, 101, 49]},
                            "header2": {"bytes": [118, 97, 108, 117, 101, 50]},
                            "numberInHeader": 10,
                        },
                        "deliveryMode": 1,
                        "priority": 34,
                        "correlationId": None,
                        "replyTo": None,
                        "expiration": "60000",
                        "messageId": None,
                        "timestamp": "Jan 1, 1970, 12:33:41 AM",
                        "type": None,
                        "userId": "AIDACKCEVSQ6C2EXAMPLE",
                        "appId": None,
                        "clusterId": None,
                        "bodySize": 43,
                    },
                    "redelivered": False,
                    "data": "eyJ0aW1lb3V0IjowLCJkYXRhIjoiQ1pybWYwR3c4T3Y0YnFMUXhENEUifQ==",
                }
            ]
        },
    }


def test_every_property_and_a_virtual_host_arrive_under_their_names():
    """What the sample leaves out."""
    properties = pika.BasicProperties(
        content_encoding="gzip",
        correlation_id="c1",
        reply_to="answers",
        message_id="m1",
        type="video.uploaded",
        app_id="video2mp3",
        cluster_id="cluster1",
    )

    event = rmq_event("conversions", "blue", delivery(redelivered=True), properties, b"")

    [message] = event["rmqMessagesByQueue"]["conversions::blue"]
    assert message["redelivered"] is True
    assert message["data"] == ""
    given = {name: value for name, value in message["basicProperties"].items() if value is not None}
    assert given == {
        "contentEncoding": "gzip",
        "correlationId": "c1",
        "replyTo": "answers",
        "messageId": "m1",
        "type": "video.uploaded",
        "appId": "video2mp3",
        "clusterId": "cluster1",
        "bodySize": 0,
    }


def test_headers_of_every_type_become_json():
    """A broken-off delivery carries the history of its dead-lettering, which is tables in lists."""
    headers = {
        "x-delivery-count": long(3),  # as RabbitMQ sends it
        "x-death": [{"queue": "q", "time": datetime(2026, 11, 2, 13, 4, 5), "routing-keys": ["k"]}],  # noqa: DTZ001
        "ü": "ü",
        "raw": b"\xff\x00",
        "price": Decimal("1.5"),
        "ratio": 0.5,
        "yes": True,
        "nothing": None,
    }

    event = rmq_event("q", "/", delivery(), pika.BasicProperties(headers=headers), b"")

    [message] = json.loads(to_payload(event))["rmqMessagesByQueue"]["q::/"]
    assert message["basicProperties"]["headers"] == {
        "x-delivery-count": 3,
        "x-death": [{"queue": {"bytes": [113]}, "time": "Nov 2, 2026, 1:04:05 PM", "routing-keys": [{"bytes": [107]}]}],
        "ü": {"bytes": [195, 188]},
        "raw": {"bytes": [255, 0]},
        "price": 1.5,
        "ratio": 0.5,
        "yes": True,
        "nothing": None,
    }


def test_what_is_not_text_or_a_number_arrives_too():
    """What is not UTF-8 is bytes in pika. One such message must not hold up its queue until it is a dead letter."""
    raw: Any = b"\xff"
    properties = pika.BasicProperties(
        content_type=raw, correlation_id=raw, message_id=b"m\xff1", app_id=raw, headers={raw: [float("nan"), 1.5]}
    )

    event = rmq_event("q", "/", delivery(), properties, b"")

    [message] = json.loads(to_payload(event))["rmqMessagesByQueue"]["q::/"]
    assert message["basicProperties"]["messageId"] == r"m\xff1"
    assert message["basicProperties"]["headers"] == {r"\xff": ["nan", 1.5]}


def test_a_body_that_is_nested_too_deeply_is_malformed():
    """It goes to the dead letters at once, and neither ends a consumer nor comes again twenty times."""
    body = b'{"conversion_id":' + b"[" * 100_000

    with pytest.raises(MalformedMessage):
        next(events_in(rmq_event("q", "/", delivery(), pika.BasicProperties(message_id="m1"), body), *EventName))


def test_a_timestamp_beyond_all_calendars_does_not_stop_a_message():
    """Other publishers put milliseconds there."""
    properties = pika.BasicProperties(timestamp=1_767_268_800_000)

    event = rmq_event("q", "/", delivery(), properties, b"")

    assert event["rmqMessagesByQueue"]["q::/"][0]["basicProperties"]["timestamp"] is None


def test_functions_can_read_what_the_bridge_makes():
    """Both sides of the contract in one test: this event, and the parser in functions/shared."""
    body = b'{"event":"video.uploaded","conversion_id":"c1","occurred_at":"2026-01-02T03:04:05Z"}'

    event = rmq_event("q", "/", delivery(), pika.BasicProperties(message_id="m1"), body)

    occurred_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert list(events_in(event, *EventName)) == [Event("m1", EventName.VIDEO_UPLOADED, "c1", occurred_at)]


def test_pauses_double_up_to_the_longest_and_begin_anew():
    """An outage of minutes must not use up a message's deliveries in a second."""
    backoff = Backoff(first_s=1, longest_s=5, uniform=lambda _, high: high)

    pauses = [backoff.next_s() for _ in range(5)]
    backoff.reset()

    assert pauses == [1, 2, 4, 5, 5]
    assert backoff.next_s() == 1


def test_pauses_are_jittered():
    """Consumers that lost the same broker must not come back in one moment."""
    backoff = Backoff(first_s=8, longest_s=8)

    pauses = {backoff.next_s() for _ in range(50)}

    assert len(pauses) > 40
    assert all(4 <= pause <= 8 for pause in pauses)


class Calls:
    """Functions that note what they are called with, and run `on_call`. Implements Functions."""

    def __init__(self, on_call) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._on_call = on_call

    def invoke(self, function_name: str, event: Any) -> Any:
        self.calls.append((function_name, event))
        return self._on_call(len(self.calls))


def make_schedule(calls: Calls, stopping: threading.Event, period_s: int = 0) -> Schedule:
    return Schedule(
        ScheduleTrigger("SweepFunction", period_s),
        calls,
        stopping=stopping,
        logger=LOGGER,
        clock=FakeClock(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        new_id=lambda: "id1",
        first_after_s=0,
    )


def test_a_schedule_calls_its_function_as_eventbridge_does():
    """A function that reads the time of its schedule must find it."""
    stopping = threading.Event()
    calls = Calls(lambda _: stopping.set())

    make_schedule(calls, stopping).run()

    assert calls.calls == [
        (
            "SweepFunction",
            {
                "version": "0",
                "id": "id1",
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": "000000000000",
                "time": "2026-01-02T03:04:05Z",
                "region": "us-east-1",
                "resources": ["arn:aws:events:us-east-1:000000000000:rule/SweepFunction"],
                "detail": {},
            },
        )
    ]


def test_a_schedule_outlives_what_its_function_raises():
    """Sweep is what repairs things: it must come again after an outage."""
    stopping = threading.Event()

    def fail_twice(number: int) -> None:
        if number == 3:
            stopping.set()
        else:
            raise FunctionFailed("SweepFunction", "Unavailable", "MongoDB is down.")

    calls = Calls(fail_twice)

    make_schedule(calls, stopping).run()

    assert len(calls.calls) == 3


def test_a_schedule_does_not_overlap_itself():
    """Two sweeps at once would only get in each other's way."""
    stopping, release = threading.Event(), threading.Event()
    running = 0
    most = 0

    def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        release.wait(5)
        running -= 1
        if number == 3:
            stopping.set()

    calls = Calls(work)
    thread = threading.Thread(target=make_schedule(calls, stopping).run)
    thread.start()
    release.set()
    thread.join(10)

    assert (len(calls.calls), most, thread.is_alive()) == (3, 1, False)


def test_a_schedule_that_waits_stops_at_once():
    """Ctrl-C does not wait for the next minute."""
    stopping = threading.Event()
    called = threading.Event()
    thread = threading.Thread(target=make_schedule(Calls(lambda _: called.set()), stopping, period_s=3600).run)
    thread.start()
    assert called.wait(5)

    stopping.set()
    thread.join(5)

    assert not thread.is_alive()


class Waiting(InProcessFunctions):
    """Functions that do nothing until they are told to, and keep the context they were called with."""

    def __init__(self) -> None:
        super().__init__({"convert": Function("convert", "module.handler", timeout_s=840, memory_mb=128)})
        self.contexts: list[Context] = []
        self.called = threading.Event()
        self.go_on = threading.Event()

    def invoke(self, function_name: str, event: Any, context: Context | None = None) -> Any:
        assert context is not None
        self.contexts.append(context)
        self.called.set()
        assert self.go_on.wait(5)
        return event


def test_a_call_under_way_learns_that_its_process_ends():
    """Convert then stops ffmpeg and gives its claim back, instead of being killed in the middle."""
    functions = Waiting()
    invocations = Invocations(functions)
    thread = threading.Thread(target=invocations.invoke, args=("convert", {}))
    thread.start()
    assert functions.called.wait(5)
    before_ms = functions.contexts[0].get_remaining_time_in_millis()

    invocations.shorten(25)

    left_ms = functions.contexts[0].get_remaining_time_in_millis()
    functions.go_on.set()
    thread.join(5)
    assert before_ms > 800_000
    assert 0 < left_ms <= 25_000


def test_no_call_begins_while_its_process_ends():
    """A message may have been on its way when the signal came; it goes back to the queue."""
    functions = Waiting()
    invocations = Invocations(functions)

    invocations.shorten(25)

    with pytest.raises(FunctionUnavailable):
        invocations.invoke("convert", {"a": 1})
    assert functions.contexts == []


@pytest.mark.parametrize(
    ("packages", "called"),
    [
        ([], {"ConvertFunction", "NotifyFunction", "SweepFunction"}),
        (["convert"], {"ConvertFunction"}),
        (["notify", "sweep"], {"NotifyFunction", "SweepFunction"}),
    ],
)
def test_only_the_triggers_of_named_packages_run(packages: list[str], called: set[str]):
    """So each queue has processes of its own, as many as it needs."""
    template = only(load_template(), packages)

    queues, schedules = template.queue_triggers, template.schedule_triggers
    assert {queue.function for queue in queues} | {schedule.function for schedule in schedules} == called
    assert template.functions == load_template().functions


def test_a_package_that_nothing_triggers_is_refused_with_those_that_are():
    """A container that consumes nothing would look well for ever."""
    with pytest.raises(InvalidSettings, match=r"'auth'.*convert, notify, sweep"):
        only(load_template(), ["convert", "auth"])
