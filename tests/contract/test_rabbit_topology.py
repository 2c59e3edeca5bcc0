"""The exchange and the queues, declared on a real RabbitMQ."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.events import EventName
from functions.shared.rabbit_events import EXCHANGE
from infra.rabbitmq.topology import (
    ARGUMENTS,
    CONVERSIONS,
    NOTIFICATIONS,
    WAIT_ARGUMENTS,
    TopologyConflict,
    declare,
)
from tests.tus import until


@pytest.fixture
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        (EventName.VIDEO_UPLOADED, CONVERSIONS),
        (EventName.CONVERSION_COMPLETED, NOTIFICATIONS),
        (EventName.CONVERSION_FAILED, NOTIFICATIONS),
    ],
)
def test_each_event_reaches_the_one_queue_that_waits_for_it(channel: BlockingChannel, name, queue):
    """A binding too many would send an e-mail's worth of work to the converters."""
    channel.basic_publish(EXCHANGE, name, b"{}", mandatory=True)

    counts = {each: channel.queue_declare(each, passive=True).method.message_count for each in ARGUMENTS}
    assert counts == {each: int(each == queue.name) for each in ARGUMENTS}


def test_a_message_waits_for_its_time_and_never_longer_than_the_queue_allows(channel: BlockingChannel):
    """One without a time of its own would be in the way of all that come behind it, for ever."""
    assert WAIT_ARGUMENTS["x-message-ttl"] == 5 * 60 * 1000
    channel.queue_declare("impatient.wait", durable=True, arguments={**WAIT_ARGUMENTS, "x-message-ttl": 100})
    try:
        channel.basic_publish("", "impatient.wait", b"without", mandatory=True)
        channel.basic_publish("", "impatient.wait", b"long", pika.BasicProperties(expiration="60000"), mandatory=True)

        assert [until(lambda: channel.basic_get(CONVERSIONS.name, auto_ack=True)[2]) for _ in range(2)] == [
            b"without",
            b"long",
        ]
    finally:
        channel.queue_delete("impatient.wait")


def test_declaring_again_keeps_what_the_queues_hold(amqp_url: str, channel: BlockingChannel):
    """Every start declares, and a start must not cost a message."""
    channel.basic_publish(EXCHANGE, EventName.VIDEO_UPLOADED, b"kept", mandatory=True)

    declare(amqp_url)

    assert channel.basic_get(CONVERSIONS.name, auto_ack=True)[2] == b"kept"


def test_a_queue_that_is_made_differently_is_told_with_what_to_do(amqp_url: str, channel: BlockingChannel):
    """RabbitMQ's own words name an argument, and leave the operator alone with it."""
    channel.queue_delete(CONVERSIONS.name)
    channel.queue_declare(CONVERSIONS.name, durable=True)

    vhost = re.escape(pika.URLParameters(amqp_url).virtual_host)
    with pytest.raises(TopologyConflict, match=f"rabbitmqctl -p {vhost} delete_queue video_conversion_queue"):
        declare(amqp_url)


def test_an_exchange_that_is_made_differently_is_told_with_what_to_do(amqp_url: str, channel: BlockingChannel):
    """Likewise."""
    channel.exchange_delete(EXCHANGE)
    channel.exchange_declare(EXCHANGE, "fanout")

    with pytest.raises(TopologyConflict, match="The exchange video2mp3 exists and is made differently"):
        declare(amqp_url)


def test_the_command_declares(amqp_url: str, channel: BlockingChannel):
    """An operator prepares a new broker with it."""
    for queue in ARGUMENTS:
        channel.queue_delete(queue)

    code, printed = run_command(AMQP_URL=amqp_url)

    assert (code, printed) == (0, "Declared video_conversion_queue, conversion_notification_queue\n")
    for queue in ARGUMENTS:
        channel.queue_declare(queue, passive=True)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "The environment variable AMQP_URL is not set."),
        ({"AMQP_URL": "amqp://127.0.0.1:1"}, "RabbitMQ at AMQP_URL cannot be used"),
    ],
    ids=["no URL", "no broker"],
)
def test_the_command_says_what_is_missing(environ: dict[str, str], sentence: str):
    """A traceback is no answer to an operator."""
    code, printed = run_command(**environ)

    assert code == 1
    assert printed.startswith(sentence)
    assert "Traceback" not in printed


def run_command(**environ: str) -> tuple[int, str]:
    """Return the exit code of `python -m infra.rabbitmq` and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.rabbitmq"],
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout
