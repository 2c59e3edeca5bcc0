"""Dead letters on a real RabbitMQ: looked at without harm, replayed without loss."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.rabbit_events import EXCHANGE, LATER_KEY
from infra.rabbitmq import __main__ as command
from infra.rabbitmq.dead_letters import REPLAYS, DeadLetter, NoSuchQueue, NotReplayed, dead_letters_of
from infra.rabbitmq.topology import CONVERSIONS, DEAD_LETTER_ARGUMENTS, NOTIFICATIONS, QUEUES
from tests.tus import until


def uploaded(conversion_id: str) -> bytes:
    occurred_at = "2026-11-22T20:00:00Z"
    return json.dumps({"event": "video.uploaded", "conversion_id": conversion_id, "occurred_at": occurred_at}).encode()


class Broker:
    """The queues, as their functions use them."""

    def __init__(self, amqp_url: str, channel: BlockingChannel) -> None:
        self._amqp_url = amqp_url
        self.channel = channel

    def publish(self, message_id: str | None, body: bytes, **properties: Any) -> None:
        """Put a message into the queue of conversions."""
        self._publish(CONVERSIONS.name, message_id, body, properties)

    def bury(self, *message_ids: str) -> None:
        """Put messages straight among the dead ones."""
        for message_id in message_ids:
            self._publish(CONVERSIONS.dead_letters, message_id, uploaded(f"of {message_id}"), {})

    def reject(self, number: int = 1) -> None:
        """Give up messages of the queue, as a trigger does with malformed ones. Returns when they are dead letters."""
        rejected = []
        for _ in range(number):
            method, properties, _ = self.channel.basic_get(CONVERSIONS.name)
            assert method is not None
            rejected.append(properties.message_id)
            self.channel.basic_reject(method.delivery_tag, requeue=False)
        deadline = time.monotonic() + 15
        while not {*rejected} <= {letter.id for letter in self._look()}:
            assert time.monotonic() < deadline, "The dead letter did not arrive."
            time.sleep(0.02)

    def take(self, queue: str) -> tuple[pika.BasicProperties, bytes]:
        method, properties, body = self.channel.basic_get(queue, auto_ack=True)
        assert method is not None, f"{queue} is empty."
        return properties, body

    def ids(self, queue: str) -> list[str]:
        """Take all messages out."""
        ids = []
        while (got := self.channel.basic_get(queue, auto_ack=True))[0] is not None:
            assert got[1] is not None
            ids.append(str(got[1].message_id))
        return ids

    def _look(self) -> list[DeadLetter]:
        with dead_letters_of(CONVERSIONS, self._amqp_url) as dead_letters:
            return dead_letters.look(20)[1]

    def _publish(self, queue: str, message_id: str | None, body: bytes, properties: dict[str, Any]) -> None:
        with_id = pika.BasicProperties(message_id=message_id, delivery_mode=2, **properties)
        self.channel.basic_publish("", queue, body, with_id, mandatory=True)


@pytest.fixture
def broker(amqp_url: str) -> Iterator[Broker]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield Broker(amqp_url, channel)


@pytest.fixture
def look(amqp_url: str) -> Callable[..., tuple[int, list[DeadLetter]]]:
    def look(limit: int = 20) -> tuple[int, list[DeadLetter]]:
        with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
            return dead_letters.look(limit)

    return look


def replay(amqp_url: str, *ids: str) -> list[str]:
    """Replay the letters of these ids, or all. Returns the ids of those that were."""
    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        return [letter.id for letter in dead_letters.replay(lambda letter: not ids or letter.id in ids)]


# Looking


def test_a_letter_says_what_it_was_about_and_why_it_was_given_up(broker: Broker, look):
    """An operator decides by that, and only by that."""
    broker.publish("m1", uploaded("c1"))
    broker.reject()

    count, [letter] = look()

    assert count == 1
    assert (letter.id, letter.event, letter.conversion_id) == ("m1", "video.uploaded", "c1")
    assert (letter.reason, letter.deaths, letter.replays) == ("rejected", 1, 0)
    assert letter.died_at is not None
    assert abs(letter.died_at.timestamp() - time.time()) < 60


def test_a_letter_that_waited_before_says_why_it_was_given_up_at_last(amqp_url: str, broker: Broker, look):
    """A wait ends as a dead letter does, and RabbitMQ notes it with the others. Nobody gave it up then."""
    waits = pika.BasicProperties(message_id="m1", delivery_mode=2, expiration="1")
    broker.channel.basic_publish(EXCHANGE, LATER_KEY, uploaded("c1"), waits, mandatory=True)
    until(lambda: broker.channel.queue_declare(CONVERSIONS.name, passive=True).method.message_count)
    broker.reject()

    _, [letter] = look()

    assert (letter.id, letter.reason, letter.deaths) == ("m1", "rejected", 1)
    assert replay(amqp_url) == ["m1"]
    properties, _ = broker.take(CONVERSIONS.name)
    assert properties.expiration is None
    assert properties.headers is not None
    assert (properties.headers[REPLAYS], properties.headers.get("x-death")) == (1, None)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", None),
        (b"\xff\xfe\x00", None),
        (b"[1, 2]", None),
        (b'{"event": 5, "conversion_id": ["c1"]}', None),
        (b"[" * 100_000, None),
        (
            b"{}",
            {"x-death": "by its own hand", "x-video2mp3-replays": "many", "of": {"a": [b"\xff", None, 2**40, True]}},
        ),
        (b"{}", {"x-death": [1]}),
    ],
    ids=["empty", "no text", "a list", "other types", "deep", "headers of others", "a death that is none"],
)
def test_a_message_that_nobody_understands_is_shown_and_can_be_named(
    amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str], body: bytes, headers: dict[str, Any] | None
):
    """These are just the ones that end up here."""
    broker.channel.basic_publish(
        "", CONVERSIONS.dead_letters, body, pika.BasicProperties(headers=headers), mandatory=True
    )

    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        _, [letter] = dead_letters.look(20)

    assert (letter.event, letter.conversion_id, letter.reason, letter.replays) == (None, None, None, 0)
    assert letter.id.startswith("sha256-")
    for arguments in (["list"], ["list", "--json"], ["show", CONVERSIONS.name], ["show", CONVERSIONS.name, "--json"]):
        assert run(amqp_url, *arguments) == 0
        assert letter.id in capfd.readouterr().out
    assert run(amqp_url, "replay", CONVERSIONS.name, "--message-id", letter.id) == 0
    assert broker.take(CONVERSIONS.name)[1] == body


def test_an_id_that_is_no_text_can_be_named(amqp_url: str, broker: Broker, look):
    """AMQP asks only that it is short."""
    broker.channel.basic_publish(
        "", CONVERSIONS.dead_letters, b"{}", pika.BasicProperties(message_id=b"caf\xe9"), mandatory=True
    )

    _, [letter] = look()

    assert letter.id == r"caf\xe9"
    assert replay(amqp_url, letter.id) == [letter.id]


def test_of_a_huge_letter_only_the_beginning_is_kept(amqp_url: str, broker: Broker, look):
    """The command runs beside processes with little memory; who fills a queue must not be able to end those."""
    broker.publish("m1", b"x" * 5_000_000)
    broker.reject()

    _, [letter] = look()

    assert (letter.size, letter.body) == (5_000_000, b"x" * 2_000)
    assert replay(amqp_url, "m1") == ["m1"]
    assert broker.take(CONVERSIONS.name)[1] == b"x" * 5_000_000


def test_looking_often_costs_no_letter_and_no_order(broker: Broker, look):
    """A quorum queue counts how often it hands a message out, and drops one that it handed out too often."""
    broker.bury("m1", "m2", "m3")

    looks = [look() for _ in range(50)]

    assert {(count, *(letter.id for letter in letters)) for count, letters in looks} == {(3, "m1", "m2", "m3")}
    assert broker.ids(CONVERSIONS.dead_letters) == ["m1", "m2", "m3"]


def test_letters_may_be_looked_at_practically_for_ever():
    """From RabbitMQ 4.0 on the limit of a queue that names none is 20."""
    assert DEAD_LETTER_ARGUMENTS["x-delivery-limit"] == 1_000_000


def test_of_many_letters_the_oldest_are_shown_and_all_are_counted(broker: Broker, look):
    """A night's worth of letters must not fill the terminal, or the memory."""
    broker.bury(*(f"m{number}" for number in range(300)))

    count, letters = look(10)

    assert count == 300
    assert [letter.id for letter in letters] == [f"m{number}" for number in range(10)]
    assert len(broker.ids(CONVERSIONS.dead_letters)) == 300


def test_without_letters_there_is_nothing_to_see(look):
    """This is how it should be."""
    assert look() == (0, [])


# Replaying


def test_a_replayed_letter_is_the_message_that_it_was(amqp_url: str, broker: Broker):
    """The function must find everything that it found the first time, and the broker must count from nothing."""
    broker.publish("m1", uploaded("c1"), content_type="application/json", timestamp=1_700_000_000, headers={"a": "b"})
    broker.reject()

    assert replay(amqp_url) == ["m1"]

    properties, body = broker.take(CONVERSIONS.name)
    assert (properties.message_id, properties.content_type, properties.timestamp, body) == (
        "m1",
        "application/json",
        1_700_000_000,
        uploaded("c1"),
    )
    assert properties.headers is not None
    # This one the broker may add to any delivery.
    assert properties.headers.pop("x-delivery-count", 0) == 0
    assert properties.headers == {"a": "b", "x-video2mp3-replays": 1}
    assert properties.delivery_mode == 2
    assert broker.ids(CONVERSIONS.dead_letters) == []


def test_a_letter_that_comes_straight_back_is_replayed_once(amqp_url: str, broker: Broker):
    """A function that still fails must not keep an operator's command running for ever."""
    broker.publish("m1", uploaded("c1"))
    broker.publish("m2", uploaded("c2"))
    broker.reject(2)

    replayed = []
    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        for letter in dead_letters.replay(lambda _: True):
            replayed.append(letter.id)
            broker.reject()

    assert replayed == ["m1", "m2"]
    assert broker.ids(CONVERSIONS.dead_letters) == ["m1", "m2"]


def test_a_letter_says_how_often_it_was_replayed(amqp_url: str, broker: Broker, look):
    """Then it is not an outage that it died of."""
    broker.publish("m1", uploaded("c1"))
    broker.reject()
    for _ in range(2):
        replay(amqp_url)
        broker.reject()

    _, [letter] = look()

    assert (letter.replays, letter.deaths) == (2, 1)


def test_only_the_named_letters_are_replayed(amqp_url: str, broker: Broker):
    """The others may be what brings a function down."""
    broker.bury("m1", "m2", "m3", "m2")

    assert replay(amqp_url, "m2") == ["m2", "m2"]
    assert broker.ids(CONVERSIONS.name) == ["m2", "m2"]
    assert broker.ids(CONVERSIONS.dead_letters) == ["m1", "m3"]


def test_many_letters_are_replayed_in_their_order(amqp_url: str, broker: Broker):
    """An outage of the mail leaves hundreds."""
    ids = [f"m{number}" for number in range(300)]
    broker.bury(*ids)

    assert replay(amqp_url) == ids
    assert broker.ids(CONVERSIONS.name) == ids
    assert broker.ids(CONVERSIONS.dead_letters) == []


def test_a_letter_of_another_user_can_be_replayed(amqp_url: str, broker: Broker):
    """The broker refuses a message that says it is from somebody who is not logged in."""
    broker.publish("m1", uploaded("c1"), user_id=pika.URLParameters(amqp_url).credentials.username)
    broker.reject()

    assert replay(amqp_url) == ["m1"]
    assert broker.take(CONVERSIONS.name)[0].user_id is None


def test_a_letter_is_replayed_to_the_queue_that_gave_it_up_and_to_no_other(amqp_url: str, broker: Broker):
    """CC makes the broker send copies to more queues; their functions were content."""
    broker.publish("m1", uploaded("c1"), headers={"CC": [NOTIFICATIONS.name]})
    broker.take(NOTIFICATIONS.name)
    broker.reject()

    assert replay(amqp_url) == ["m1"]
    assert (broker.ids(CONVERSIONS.name), broker.ids(NOTIFICATIONS.name)) == (["m1"], [])


def test_without_the_exchange_letters_are_replayed_all_the_same(amqp_url: str, broker: Broker):
    """Somebody deleted it, and that is why there are dead letters."""
    broker.bury("m1")
    broker.channel.exchange_delete(EXCHANGE)

    assert replay(amqp_url) == ["m1"]
    assert broker.ids(CONVERSIONS.name) == ["m1"]


def test_a_letter_whose_queue_is_missing_stays(amqp_url: str, broker: Broker):
    """A message that no queue takes is confirmed all the same, unless one asks."""
    broker.bury("m1", "m2")
    broker.channel.queue_delete(CONVERSIONS.name)

    with pytest.raises(NotReplayed, match=r"There is no queue video_conversion_queue\. To declare the queues"):
        replay(amqp_url)

    assert broker.ids(CONVERSIONS.dead_letters) == ["m1", "m2"]


def test_a_letter_that_its_queue_refuses_stays(amqp_url: str, broker: Broker):
    """The queue says no when it is full."""
    broker.bury("m1")
    broker.channel.queue_delete(CONVERSIONS.name)
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    broker.channel.queue_declare(CONVERSIONS.name, durable=True, arguments=full)
    broker.publish("first", b"{}")

    with pytest.raises(NotReplayed, match="The queue video_conversion_queue takes no more messages"):
        replay(amqp_url)

    assert broker.ids(CONVERSIONS.dead_letters) == ["m1"]


def test_who_dies_in_between_loses_no_letter(amqp_url: str, broker: Broker):
    """A repeat is borne; a loss is somebody's video."""
    broker.bury("m1")

    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        dead_letters._channel.basic_ack = lambda _: dead_letters._channel.connection.close()
        list(dead_letters.replay(lambda _: True))

    assert broker.ids(CONVERSIONS.name) == ["m1"]
    assert broker.ids(CONVERSIONS.dead_letters) == ["m1"]


# Discarding


def test_only_the_named_letters_are_discarded(amqp_url: str, broker: Broker):
    """What is discarded is gone for ever."""
    broker.bury("m1", "m2", "m3")

    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        discarded = [letter.id for letter in dead_letters.discard(lambda letter: letter.id == "m2")]

    assert discarded == ["m2"]
    assert broker.ids(CONVERSIONS.dead_letters) == ["m1", "m3"]
    assert broker.ids(CONVERSIONS.name) == []


@pytest.mark.parametrize("settle", ["look", "replay", "discard"])
def test_a_queue_that_does_not_exist_is_told_with_what_to_do(amqp_url: str, broker: Broker, settle: str):
    """A new broker has none."""
    broker.channel.queue_delete(CONVERSIONS.dead_letters)

    with dead_letters_of(CONVERSIONS, amqp_url) as dead_letters:
        calls: dict[str, Callable[[], object]] = {
            "look": lambda: dead_letters.look(5),
            "replay": lambda: list(dead_letters.replay(lambda _: True)),
            "discard": lambda: list(dead_letters.discard(lambda _: True)),
        }
        with pytest.raises(NoSuchQueue, match=r"There is no queue video_conversion_queue\.dlq\. To declare the queues"):
            calls[settle]()


# The command


def run(amqp_url: str, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMQP_URL", amqp_url)
        return command.main(["dead-letters", *arguments])


def test_the_command_lists_the_letters_of_both_queues(amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]):
    """This is what an operator types when the alarm rings."""
    broker.publish("m1", uploaded("c1"))
    broker.reject()

    assert run(amqp_url, "list") == 0

    first, second, third = capfd.readouterr().out.splitlines()
    assert first == "video_conversion_queue: 1 dead letter"
    assert second.startswith("  m1  video.uploaded  conversion c1  rejected at 20")
    assert third == "conversion_notification_queue: no dead letters"


def test_the_command_lists_for_machines(amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]):
    """A monitor reads it."""
    broker.bury("m1", "m2")

    assert run(amqp_url, "list", "--json", "--number", "1") == 0

    conversions, notifications = json.loads(capfd.readouterr().out)
    assert notifications == {"queue": NOTIFICATIONS.name, "count": 0, "letters": []}
    assert (conversions["queue"], conversions["count"]) == (CONVERSIONS.name, 2)
    assert conversions["letters"] == [
        {
            "id": "m1",
            "event": "video.uploaded",
            "conversion_id": "of m1",
            "reason": None,
            "deaths": 0,
            "died_at": None,
            "replays": 0,
            "size": len(uploaded("of m1")),
        }
    ]


def test_the_command_shows_all_that_a_letter_says_on_lines_of_their_own(
    amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]
):
    """What strangers wrote must not command the terminal."""
    broker.publish("m1\x1b[2J", b"first\nsecond \x1b]0;title\x07" + b"x" * 3_000, headers={"a": "\x1b[1m"})
    broker.reject()

    assert run(amqp_url, "show", CONVERSIONS.name) == 0

    shown = capfd.readouterr().out
    assert r"m1\x1b[2J  (not one of our messages)  conversion -  rejected" in shown
    assert r"body    first\nsecond \x1b]0;title\x07xxx" in shown
    assert "(3023 bytes)" in shown
    assert '"x-first-death-queue":"video_conversion_queue"' in shown
    assert "\x1b" not in shown
    assert len(shown) < 5_000


def test_the_command_replays_and_says_what(amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]):
    """The dead-letter queue's own name does as well: that is what RabbitMQ shows."""
    broker.bury("m1", "m2")

    assert run(amqp_url, "replay", CONVERSIONS.dead_letters, "--all") == 0

    assert capfd.readouterr().out.splitlines() == [
        "replay m1  video.uploaded  conversion of m1  put here by hand",
        "replay m2  video.uploaded  conversion of m2  put here by hand",
        "Replayed 2 of video_conversion_queue",
    ]
    assert broker.ids(CONVERSIONS.name) == ["m1", "m2"]


def test_the_command_says_which_letters_it_did_not_find(
    amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]
):
    """Somebody else was quicker, or it is a typing error."""
    broker.bury("m1")

    assert run(amqp_url, "discard", CONVERSIONS.name, "--json", "--message-id", "m1", "m9") == 1

    printed = capfd.readouterr()
    answer = json.loads(printed.out)
    assert [letter["id"] for letter in answer["discard"]] == ["m1"]
    assert json.loads(answer["discard"][0]["body"])["conversion_id"] == "of m1"
    assert answer["missing"] == ["m9"]
    assert printed.err == "Not among the dead letters: m9\n"


def test_the_command_says_when_a_queue_does_not_take_letters(
    amqp_url: str, broker: Broker, capfd: pytest.CaptureFixture[str]
):
    """And how many it took before."""
    broker.bury("m1")
    broker.channel.queue_delete(CONVERSIONS.name)

    assert run(amqp_url, "replay", CONVERSIONS.name, "--all") == 1

    printed = capfd.readouterr()
    assert printed.out == "Replayed 0 of video_conversion_queue\n"
    assert printed.err.startswith("There is no queue video_conversion_queue. To declare the queues:")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "other_queue"], "there is no queue other_queue; there are video_conversion_queue and"),
        (["list", "--number", "0"], "it is from 1 to 10000"),
        (["list", "--number", "many"], "it is from 1 to 10000"),
        (["replay", QUEUES[0].name], "one of the arguments --all --message-id is required"),
        (["discard", QUEUES[0].name, "--all", "--message-id", "m1"], "not allowed with argument"),
    ],
    ids=["another queue", "none", "no number", "nothing named", "both"],
)
def test_the_command_refuses_what_it_does_not_understand(
    arguments: list[str], sentence: str, capfd: pytest.CaptureFixture[str]
):
    """Discarding all must be said, and cannot happen by leaving something out."""
    with pytest.raises(SystemExit) as ended:
        run("amqp://127.0.0.1:1", *arguments)

    assert ended.value.code == 2
    assert sentence in capfd.readouterr().err


def test_the_command_ends_when_the_broker_is_not_there():
    """A traceback is no answer to an operator."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.rabbitmq", "dead-letters"],
        env={"PATH": os.environ["PATH"], "AMQP_URL": "amqp://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("RabbitMQ at AMQP_URL cannot be used")
    assert "Traceback" not in done.stderr
