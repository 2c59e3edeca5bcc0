"""The port Events: the same tests on FakeEvents and, through a proxy, on RabbitEvents with a real RabbitMQ."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pika
import pika.frame
import pika.spec
import pytest
from msgspec.structs import replace

from functions.shared.clock import utc_now
from functions.shared.events import LONGEST_PAUSE, Event, EventName, Events, NotPublished
from functions.shared.rabbit_events import EXCHANGE, WAIT_QUEUE, RabbitEvents
from functions.shared.rmq import events_in
from infra.rabbitmq.topology import CONVERSIONS, NOTIFICATIONS, QUEUES, declare
from infra.triggers.delivery import rmq_event
from tests.fakes.shared import FakeEvents
from tests.tcp_proxy import TcpProxy, proxied
from tests.tus import until

TIMEOUT_S = 2


def make_event(event_id: str, name: EventName = EventName.VIDEO_UPLOADED) -> Event:
    return Event(event_id, name, f"conversion-of-{event_id}", datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC))


class Broker(Protocol):
    """What the tests need of either: the port, what came of it, and a switch."""

    @property
    def events(self) -> Events: ...

    def arrived(self) -> list[Event]:
        """Take out what was published since the last time."""

    def go_down(self) -> None: ...

    def come_up(self) -> None: ...


class FakeBroker:
    def __init__(self) -> None:
        self.events = FakeEvents()

    def arrived(self) -> list[Event]:
        taken, self.events.published = self.events.published, []
        return taken

    def go_down(self) -> None:
        self.events.down = True

    def come_up(self) -> None:
        self.events.down = False


class RabbitBroker:
    def __init__(self, amqp_url: str, proxy: TcpProxy, proxied_url: str) -> None:
        self.events = RabbitEvents(proxied_url, timeout_s=TIMEOUT_S)
        self.amqp_url = amqp_url
        self.proxy = proxy

    def messages(self) -> Iterator[tuple[str, pika.spec.Basic.GetOk, pika.BasicProperties, bytes]]:
        """Take every message out of the queues, past the proxy."""
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            channel = connection.channel()
            for queue in QUEUES:
                while (message := channel.basic_get(queue.name, auto_ack=True))[0] is not None:
                    yield queue.name, *message

    def count(self) -> int:
        """Return how many messages are in the queue of videos."""
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            count: int = connection.channel().queue_declare(CONVERSIONS.name, passive=True).method.message_count
            return count

    def arrived(self) -> list[Event]:
        return [event for message in self.messages() for event in self.read(message)]

    @staticmethod
    def read(message: tuple[str, pika.spec.Basic.GetOk, pika.BasicProperties, bytes]) -> Iterator[Event]:
        queue, *delivery = message
        return events_in(rmq_event(queue, "/", *delivery), *EventName)

    def go_down(self) -> None:
        self.proxy.go_down()

    def come_up(self) -> None:
        self.proxy.come_up()


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[RabbitBroker]:
    with proxied(amqp_url) as (proxy, url):
        broker = RabbitBroker(amqp_url, proxy, url)
        yield broker
        proxy.thaw()
        broker.events.close()


@pytest.fixture(params=["fake", "RabbitMQ"])
def broker(request: pytest.FixtureRequest) -> Broker:
    if request.param == "fake":
        return FakeBroker()
    rabbit: RabbitBroker = request.getfixturevalue("rabbit")
    return rabbit


@pytest.mark.parametrize("name", list(EventName))
def test_what_is_published_arrives_as_it_was(broker: Broker, name: EventName) -> None:
    """Each event must find a queue, and its id must stay: consumers know a repeat by it."""
    event = make_event("e1", name)

    broker.events.publish(event)

    assert broker.arrived() == [event]


def test_a_broker_that_is_down_is_told(broker: Broker) -> None:
    """Only NotPublished keeps the event owed, so that sweep publishes it later."""
    broker.go_down()

    with pytest.raises(NotPublished):
        broker.events.publish(make_event("e1"))

    assert broker.arrived() == []


def test_after_an_outage_publishing_works_again(broker: Broker) -> None:
    """A process outlives its broker's restart."""
    broker.events.publish(make_event("before"))
    broker.go_down()
    with pytest.raises(NotPublished):
        broker.events.publish(make_event("during"))
    broker.come_up()

    broker.events.publish(make_event("after"))

    assert broker.arrived() == [make_event("before"), make_event("after")]


def test_threads_may_share_one(broker: Broker) -> None:
    """The gateway answers many requests at once with one object."""
    events = [make_event(f"e{number}") for number in range(40)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(broker.events.publish, events))

    assert sorted(event.id for event in broker.arrived()) == sorted(event.id for event in events)


def test_a_message_outlives_the_broker_and_says_what_it_is(rabbit: RabbitBroker) -> None:
    """An accepted upload must not be forgotten in a restart: message, queue and exchange are all durable."""
    rabbit.events.publish(make_event("e1", EventName.CONVERSION_COMPLETED))

    [(queue, method, properties, body)] = rabbit.messages()
    assert queue == NOTIFICATIONS.name
    assert (method.exchange, method.routing_key) == (EXCHANGE, "conversion.completed")
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert properties.message_id == "e1"
    assert properties.content_type == "application/json"
    assert properties.timestamp == 1_767_323_045
    assert body == (
        b'{"event":"conversion.completed","conversion_id":"conversion-of-e1","occurred_at":"2026-01-02T03:04:05.678000Z"}'
    )


def test_an_event_that_no_queue_takes_is_not_published(rabbit: RabbitBroker) -> None:
    """The broker confirms it all the same, and it would be gone."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.amqp_url)) as connection:
        connection.channel().queue_delete(CONVERSIONS.name)

    with pytest.raises(NotPublished, match=r"No queue takes video\.uploaded"):
        rabbit.events.publish(make_event("e1"))

    declare(rabbit.amqp_url)
    rabbit.events.publish(make_event("e2"))
    assert rabbit.arrived() == [make_event("e2")]


def test_a_missing_exchange_is_told_and_made_good(rabbit: RabbitBroker) -> None:
    """The broker answers with a closed channel, which must not be used again."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.amqp_url)) as connection:
        connection.channel().exchange_delete(EXCHANGE)

    with pytest.raises(NotPublished):
        rabbit.events.publish(make_event("e1"))

    declare(rabbit.amqp_url)
    rabbit.events.publish(make_event("e2"))
    assert rabbit.arrived() == [make_event("e2")]


def test_a_connection_lost_between_two_events_is_made_again(rabbit: RabbitBroker) -> None:
    """A Lambda sandbox that was frozen wakes up with a dead connection; its caller must not notice."""
    rabbit.events.publish(make_event("e1"))
    rabbit.proxy.cut()

    rabbit.events.publish(make_event("e2"))

    assert rabbit.arrived() == [make_event("e1"), make_event("e2")]


def test_a_connection_that_the_broker_closed_is_made_again(rabbit: RabbitBroker) -> None:
    """An operator closes connections before an upgrade."""
    rabbit.events.publish(make_event("e1"))
    rabbit.proxy.cut(method_frame(pika.spec.Connection.Close(320, "CONNECTION_FORCED", 0, 0)))

    rabbit.events.publish(make_event("e2"))

    assert rabbit.arrived() == [make_event("e1"), make_event("e2")]


def test_an_idle_connection_is_closed_before_the_broker_has_to(amqp_url: str) -> None:
    """Nobody answers its heartbeats, so RabbitMQ would close it after two of them and log an error."""
    with proxied(amqp_url) as (proxy, url):
        events = RabbitEvents(url, timeout_s=4)
        events.publish(make_event("e1"))
        assert proxy.connections == 1

        # The broker misses its second heartbeat after 8 s.
        until(lambda: proxy.connections == 0, within_s=6)
        events.publish(make_event("e2"))

        assert proxy.connections == 1
        events.close()


def test_a_connection_that_is_used_again_and_again_stays_open(amqp_url: str) -> None:
    """A new one for each event would take longer than the event."""
    with proxied(amqp_url) as (proxy, url):
        events = RabbitEvents(url, timeout_s=4)
        for number in range(12):
            events.publish(make_event(f"e{number}"))
            time.sleep(0.25)

        assert proxy.accepted == 1
        events.close()


def test_a_broker_that_does_not_answer_a_new_connection_is_given_up_in_time(rabbit: RabbitBroker) -> None:
    """A request that waits for RabbitMQ has 29 seconds in all."""
    rabbit.proxy.freeze()
    started = time.monotonic()

    with pytest.raises(NotPublished):
        rabbit.events.publish(make_event("e1"))

    assert time.monotonic() - started < TIMEOUT_S + 3


def test_a_queue_that_the_broker_cannot_use_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ says no more than INTERNAL_ERROR then, and says it until it is restarted."""

    def broken(*_: object, **__: object) -> None:
        raise pika.exceptions.ConnectionClosedByBroker(541, "INTERNAL_ERROR")

    monkeypatch.setattr("functions.shared.rabbit_events.connect_rabbit", broken)

    with pytest.raises(NotPublished, match=r"internal error.*INTERNAL_ERROR in docs/operating\.md"):
        RabbitEvents("amqp://x").publish(make_event("e1"))


def test_a_broker_that_blocks_publishers_is_given_up_in_time(rabbit: RabbitBroker) -> None:
    """Out of memory or disk, RabbitMQ takes no event until it has room, which may be never."""
    rabbit.events.publish(make_event("e1"))
    rabbit.proxy.freeze()
    rabbit.proxy.send_to_clients(method_frame(pika.spec.Connection.Blocked("low on memory")))
    started = time.monotonic()

    with pytest.raises(NotPublished):
        rabbit.events.publish(make_event("e2"))

    assert time.monotonic() - started < TIMEOUT_S + 3


def test_a_broker_that_falls_silent_is_given_up_in_time(rabbit: RabbitBroker) -> None:
    """Neither a lost cable nor a stopped process says goodbye."""
    rabbit.events.publish(make_event("e1"))
    rabbit.proxy.freeze()
    started = time.monotonic()

    with pytest.raises(NotPublished):
        rabbit.events.publish(make_event("e2"))

    assert time.monotonic() - started < 20


def test_uploads_do_not_queue_up_behind_a_silent_broker(rabbit: RabbitBroker) -> None:
    """Five threads that wait one after the other would let the last one wait five times as long."""
    rabbit.proxy.freeze()
    started = time.monotonic()

    def publish(number: int) -> bool:
        try:
            rabbit.events.publish(make_event(f"e{number}"))
        except NotPublished:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert not any(pool.map(publish, range(5)))

    assert time.monotonic() - started < 2 * TIMEOUT_S + 3


# Events that are not to be acted on yet


def not_before(event: Event, seconds: float) -> Event:
    return replace(event, not_before=utc_now() + timedelta(seconds=seconds))


def test_an_event_waits_while_others_pass(rabbit: RabbitBroker) -> None:
    """A video that failed is tried again later, and holds up no other. Functions see a message like any other."""
    published_at = time.monotonic()
    rabbit.events.publish(not_before(make_event("waits"), 1.5))
    rabbit.events.publish(make_event("passes"))

    assert until(rabbit.arrived) == [make_event("passes")]
    [message] = until(lambda: list(rabbit.messages()))
    waited_s = time.monotonic() - published_at

    assert list(rabbit.read(message)) == [make_event("waits")]
    assert waited_s >= 1.49
    queue, method, properties, body = message
    assert queue == CONVERSIONS.name
    # It must not expire again, for it would be a dead letter then.
    assert properties.expiration is None
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert [death["reason"] for death in properties.headers["x-death"]] == ["expired"]
    assert json.dumps(rmq_event(queue, "/", method, properties, body))


def test_an_event_behind_one_that_waits_longer_comes_with_that(rabbit: RabbitBroker) -> None:
    """RabbitMQ looks at the first of a queue only. So no pause is long, and nothing is lost by it."""
    rabbit.events.publish(not_before(make_event("long"), 1))
    rabbit.events.publish(not_before(make_event("short"), 0.1))
    until(lambda: rabbit.count() == 2)

    assert rabbit.arrived() == [make_event("long"), make_event("short")]


def test_an_event_whose_pause_is_over_does_not_wait(rabbit: RabbitBroker) -> None:
    """Sweep publishes after an outage what should have been told in it."""
    rabbit.events.publish(not_before(make_event("e1"), -1))

    [(queue, method, properties, _)] = rabbit.messages()
    assert (queue, method.exchange, method.routing_key) == (CONVERSIONS.name, EXCHANGE, "video.uploaded")
    assert properties.expiration is None


def test_only_videos_wait(rabbit: RabbitBroker) -> None:
    """The wait queue leads to the converters, who would take nothing else."""
    rabbit.events.publish(not_before(make_event("e1", EventName.CONVERSION_FAILED), 60))

    assert rabbit.arrived() == [make_event("e1", EventName.CONVERSION_FAILED)]


@pytest.mark.parametrize("wrong_by", [timedelta(minutes=-5), timedelta(days=-100_000)])
@pytest.mark.parametrize("pause", [timedelta(seconds=10), timedelta(days=100)])
def test_a_clock_that_is_wrong_makes_no_wait_longer(amqp_url: str, pause: timedelta, wrong_by: timedelta) -> None:
    """Who sets the time and who publishes may be two machines; and RabbitMQ refuses a wait of more than 49 days."""
    events = RabbitEvents(amqp_url, clock=lambda: utc_now() + wrong_by)
    now = utc_now()
    events.publish(replace(make_event("e1"), occurred_at=now, not_before=now + pause))
    events.close()

    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        _, properties, _ = connection.channel().basic_get(WAIT_QUEUE, auto_ack=True)
    assert properties is not None
    assert properties.expiration == str(min(pause, LONGEST_PAUSE) // timedelta(milliseconds=1))


def test_without_the_queue_to_wait_in_an_event_stays_owed_for_so_long(rabbit: RabbitBroker) -> None:
    """Nothing is lost by a queue that somebody deleted: sweep publishes the event when it need not wait any more."""
    with pika.BlockingConnection(pika.URLParameters(rabbit.amqp_url)) as connection:
        connection.channel().queue_delete(WAIT_QUEUE)
    waits = not_before(make_event("e1"), 0.5)

    with pytest.raises(NotPublished, match=r"No queue takes video\.uploaded"):
        rabbit.events.publish(waits)

    until(lambda: waits.not_before is not None and utc_now() >= waits.not_before)
    rabbit.events.publish(waits)
    assert rabbit.arrived() == [make_event("e1")]


def method_frame(method: pika.spec.Connection.Close | pika.spec.Connection.Blocked) -> bytes:
    """Return what RabbitMQ sends for a method about the whole connection."""
    frame: bytes = pika.frame.Method(0, method).marshal()
    return frame
