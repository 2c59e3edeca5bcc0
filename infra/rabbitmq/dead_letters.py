"""Dead letters: looked at, put back into the queue that they came from, or thrown away.

Whoever looks at a letter holds it until the end of the look, and then puts it back in its place. A letter is held by
one at a time, so two who look at once see different letters.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pika
import pika.data
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.rabbit import connect_rabbit
from infra.rabbitmq.topology import Queue

# How often a letter was put back into its queue. Nothing but a look at the dead letters reads this header.
REPLAYS = "x-video2mp3-replays"
# What the broker notes about deaths would count on, and CC and BCC would send the message elsewhere, too.
_LEFT_OUT = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "CC", "BCC", REPLAYS)

# How much is kept of the body of a letter. Ours have 150 bytes; of a stranger's, one alone could have 128 MiB.
_KEPT_BYTES = 2_000

# https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants
_NOT_FOUND = 404


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up, and why. What a malformed one does not say is None.

    `id` is the message's id, or, if it has none, the digest of its body. `reason` is RabbitMQ's word: `rejected` for
    one that the function called malformed, `delivery_limit` for one that failed too often. `body` is the beginning of
    one that has `size` bytes.
    """

    id: str
    event: str | None
    conversion_id: str | None
    reason: str | None
    deaths: int
    died_at: datetime | None
    replays: int
    headers: dict[str, Any]
    size: int
    body: bytes


class NoSuchQueue(Exception):
    """Raised when the broker has no such queue. The message says what to do."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no queue {name}. To declare the queues: python -m infra.rabbitmq")


class NotReplayed(Exception):
    """Raised when a queue did not take a letter, which is among the dead ones as before."""


class DeadLetters:
    """The dead letters of a queue. Use `dead_letters_of` to make one, and call one method of it."""

    def __init__(self, channel: BlockingChannel, queue: Queue) -> None:
        self._channel = channel
        self._queue = queue

    def look(self, limit: int) -> tuple[int, list[DeadLetter]]:
        """Return how many letters there are that nobody holds, and up to `limit` of them, those here longest first.

        Raises NoSuchQueue.
        """
        letters = []
        count = 0
        with closing(self._take(limit)) as taken_letters:
            for taken, count in taken_letters:  # noqa: B007  # the count is the same each time
                letters.append(taken.letter)
        return count, letters

    def replay(self, wanted: Callable[[DeadLetter], bool]) -> Iterator[DeadLetter]:
        """Put the wanted letters back into the queue that they came from, and yield each when that is done.

        Each is there, durably, before it is taken from the dead ones. Between the two there may be a repeat, never a
        loss. Only letters are looked at that are here from the beginning: one that comes straight back waits.

        Raises:
            NoSuchQueue: there is no queue of dead letters.
            NotReplayed: the queue that they came from is missing, or takes no more.
        """
        self._channel.confirm_delivery()
        with closing(self._take()) as taken_letters:
            for taken, _ in taken_letters:
                if wanted(taken.letter):
                    self._publish(taken)
                    self._channel.basic_ack(taken.tag)
                    yield taken.letter

    def discard(self, wanted: Callable[[DeadLetter], bool]) -> Iterator[DeadLetter]:
        """Delete the wanted letters for ever, and yield each. Raises NoSuchQueue."""
        with closing(self._take()) as taken_letters:
            for taken, _ in taken_letters:
                if wanted(taken.letter):
                    self._channel.basic_ack(taken.tag)
                    yield taken.letter

    def _take(self, limit: int | None = None) -> Generator[tuple["_Taken", int], None, None]:
        """Yield letters, and how many there were before the first; put back what was not acknowledged."""
        before = None
        number = 0
        try:
            while (before is None or number < before) and number != limit:
                method, properties, body = self._channel.basic_get(self._queue.dead_letters)
                if method is None:
                    break
                if before is None:
                    before = method.message_count + 1
                number += 1
                yield _Taken(method.delivery_tag, properties, body), before
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code != _NOT_FOUND:
                raise
            raise NoSuchQueue(self._queue.dead_letters) from error
        finally:
            # When the connection ends they go back as well; but that counts as a failed delivery on all versions.
            if number and self._channel.is_open:
                self._channel.basic_nack(0, multiple=True, requeue=True)

    def _publish(self, taken: "_Taken") -> None:
        properties = taken.properties
        properties.headers = {
            **{name: value for name, value in (properties.headers or {}).items() if _may_be_sent(name, value)},
            REPLAYS: taken.letter.replays + 1,
        }
        properties.delivery_mode = pika.DeliveryMode.Persistent.value
        # The broker refuses a message that says it is from another user.
        properties.user_id = None
        try:
            # Straight into the queue: whoever else got the message through the exchange did not fail.
            self._channel.basic_publish("", self._queue.name, taken.body, properties, mandatory=True)
        except pika.exceptions.UnroutableError as error:
            raise NotReplayed(str(NoSuchQueue(self._queue.name))) from error
        except pika.exceptions.NackError as error:
            raise NotReplayed(f"The queue {self._queue.name} takes no more messages.") from error


@contextmanager
def dead_letters_of(queue: Queue, amqp_url: str, *, timeout_s: float = 10) -> Iterator[DeadLetters]:
    """Open the dead letters of a queue. No answer of the broker is waited for longer than three times `timeout_s`.

    Raises:
        pika.exceptions.AMQPError: the broker cannot be reached, refuses us, or fell silent.
    """
    # It is the heartbeat that ends the wait for a broker that fell silent.
    with connect_rabbit(
        amqp_url, timeout_s=timeout_s, heartbeat_s=max(1, round(timeout_s)), name="video2mp3: dead letters"
    ) as connection:
        yield DeadLetters(connection.channel(), queue)


class _Taken:
    """A letter that we hold."""

    def __init__(self, tag: int, properties: pika.BasicProperties, body: bytes) -> None:
        self.tag = tag
        self.properties = properties
        self.body = body
        self.letter = _letter(properties, body)


def _letter(properties: pika.BasicProperties, body: bytes) -> DeadLetter:
    headers = properties.headers or {}
    death = _last_death(headers)
    said = _json_object(body)
    return DeadLetter(
        id=_text(properties.message_id) or f"sha256-{hashlib.sha256(body).hexdigest()[:16]}",
        event=_text(said.get("event")),
        conversion_id=_text(said.get("conversion_id")),
        reason=_text(death.get("reason")),
        deaths=_number(death.get("count")),
        died_at=_time(death.get("time")),
        replays=_number(headers.get(REPLAYS)),
        headers=_plain(headers),
        size=len(body),
        body=body[:_KEPT_BYTES],
    )


def _may_be_sent(name: str, value: Any) -> bool:
    try:
        pika.data.encode_table([], {name: value})
    except pika.exceptions.UnsupportedAMQPFieldException:
        return False  # pika reads some types that it cannot write
    return not name.startswith(_LEFT_OUT)


def _plain(value: Any) -> Any:
    """Return the value of a header as JSON can say it, with times kept as times."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # pika has a class of its own for long ones
    return value


def _last_death(headers: dict[str, Any]) -> dict[str, Any]:
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(value: Any) -> str | None:
    # pika gives what is no UTF-8 as bytes.
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else None


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


def _time(value: Any) -> datetime | None:
    return value.replace(tzinfo=value.tzinfo or UTC) if isinstance(value, datetime) else None
