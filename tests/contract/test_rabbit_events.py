"""The port Events: the same tests on FakeEvents and, through a proxy, on RabbitEvents with a real RabbitMQ."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol

import pika
import pika.frame
import pika.spec
import pytest

from functions.shared.events import Event, EventName, Events, NotPublished
from functions.shared.rabbit_events import EXCHANGE, RabbitEvents
from functions.shared.rmq import events_in
from infra.rabbitmq.topology import CONVERSIONS, NOTIFICATIONS, QUEUES, declare
from infra.triggers.delivery import rmq_event
from tests.fakes.shared import FakeEvents
from tests.tcp_proxy import TcpProxy, proxied

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


def test_a_broker_that_does_not_answer_a_new_connection_is_given_up_in_time(rabbit: RabbitBroker) -> None:
    """A request that waits for RabbitMQ has 29 seconds in all."""
    rabbit.proxy.freeze()
    started = time.monotonic()

    with pytest.raises(NotPublished):
        rabbit.events.publish(make_event("e1"))

    assert time.monotonic() - started < TIMEOUT_S + 3


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


def method_frame(method: pika.spec.Connection.Close | pika.spec.Connection.Blocked) -> bytes:
    """Return what RabbitMQ sends for a method about the whole connection."""
    frame: bytes = pika.frame.Method(0, method).marshal()
    return frame
