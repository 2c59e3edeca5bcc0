"""Anything of the list of faults, at random and one after the other, while people upload."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel
from pymongo.database import Database
from pymongo.errors import PyMongoError

from functions.shared.clock import utc_now
from functions.shared.events import Event, EventName
from functions.shared.mongo import Document, to_event
from functions.shared.rabbit import connect_rabbit
from functions.shared.rabbit_events import EXCHANGE, QUEUES
from infra.local.processes import LeashedProcess
from infra.local.servers import ServerUrls
from infra.local.stack import RunningStack
from infra.rabbitmq.topology import QUEUES as DECLARED
from infra.rabbitmq.topology import declare
from tests.faults.processes import Faults
from tests.faults.sweeping import Sweeper
from tests.tcp_proxy import TcpProxy
from tests.tus import until

_MALFORMED = (b"", b"not JSON", b'{"event": "video.uploaded"}', b'{"event": "video.eaten", "conversion_id": "x"}')
# From one fault to the next.
_PAUSE_S = (0.4, 1.6)


@contextlib.contextmanager
def another_worker(urls: ServerUrls, settings: Mapping[str, str], log: Path) -> Iterator[None]:
    """Let one more host convert inside the block: nothing is done to it, so it takes what others let fall."""
    worker = LeashedProcess(
        "Another worker",
        [sys.executable, "-m", "infra.triggers", "convert"],
        environ={**os.environ, **urls.to_environ(), **settings, "CONVERT_WORKERS": "1"},
        log=log,
    )
    try:
        yield
    finally:
        worker.stop()


class NothingDone(Exception):
    """Raised when what a fault is done to is not there at the moment."""


_NOT_NOW = (NothingDone, subprocess.SubprocessError, PyMongoError, pika.exceptions.AMQPError, OSError)


class Mischief:
    """Does one thing after the other to a stack whose leases last `lease_s`. Which, and when, comes from `rng`.

    The faults are dealt like cards: each comes once before any comes again. So even a short time sees nearly all, and
    no process dies so often that its supervisor waits for long before it starts that again.
    """

    def __init__(
        self,
        stack: RunningStack,
        database: Database[Document],
        sweeper: Sweeper,
        proxy: TcpProxy,
        rng: random.Random,
        *,
        lease_s: float,
    ) -> None:
        self.done: Counter[str] = Counter()
        self._stack = stack
        self._faults = Faults(stack)
        self._amqp_url = stack.urls.amqp
        self._database = database
        self._sweeper = sweeper
        self._rng = rng
        self._lease_s = lease_s
        self._timers: list[threading.Timer] = []
        servers = ("mongodb", "rabbitmq", "postgresql")
        services = ("gateway", "triggers")
        self._cards: list[tuple[str, Callable[[], object]]] = [
            *((f"{name} killed", partial(self._faults.kill, name)) for name in (*services, *servers)),
            *((f"{name} asked to end", partial(self._faults.signal, name, signal.SIGTERM)) for name in services),
            *((f"{name} stands still", partial(self._pause, name)) for name in (*services, *servers)),
            *[("ffmpeg killed", partial(self._signal_ffmpeg, signal.SIGKILL))] * 2,
            ("ffmpeg asked to end", partial(self._signal_ffmpeg, signal.SIGTERM)),
            ("ffmpeg stands still", self._pause_ffmpeg),
            *[("leases lost", self._lose_leases)] * 2,
            ("a queue deleted", self._delete_queue),
            ("a queue unbound", self._unbind_queue),
            ("malformed messages", self._publish_malformed),
            *[("events again", self._publish_again)] * 2,
            *[("clients cut off", proxy.cut)] * 2,
            ("sweep at an odd time", partial(self._later, 0, self._sweep)),
        ]

    def run(self, seconds: float) -> None:
        """Do things for so long, and return when all that was stopped goes on."""
        end = time.monotonic() + seconds
        deck: list[tuple[str, Callable[[], object]]] = []
        while time.monotonic() < end:
            deck = deck or self._rng.sample(self._cards, len(self._cards))
            name, do = deck.pop()
            with contextlib.suppress(*_NOT_NOW):
                do()
                self.done[name] += 1
            time.sleep(self._rng.uniform(*_PAUSE_S))
        for timer in self._timers:
            timer.join()

    def _later(self, seconds: float, do: Callable[[], object]) -> None:
        def do_if_possible() -> None:
            with contextlib.suppress(*_NOT_NOW):
                do()

        timer = threading.Timer(seconds, do_if_possible)
        self._timers.append(timer)
        timer.start()

    def _pause(self, name: str) -> None:
        pid = self._faults.signal(name, signal.SIGSTOP)
        self._later(self._rng.uniform(1, 4), partial(os.kill, pid, signal.SIGCONT))

    def _lose_leases(self) -> None:
        """Let the triggers stand still in mid-encode until sweep has queued their conversions, and others took them."""
        with contextlib.suppress(AssertionError):
            until(self._faults.ffmpegs, within_s=2)
        pid = self._faults.signal("triggers", signal.SIGSTOP)

        def take_over() -> None:
            try:
                self._sweeper.sweep()
                # Long enough for another worker to be in mid-encode, or done, when this one wakes up.
                time.sleep(self._rng.uniform(0.5, 3))
            finally:
                os.kill(pid, signal.SIGCONT)

        self._later(self._lease_s + 0.5, take_over)

    def _signal_ffmpeg(self, number: signal.Signals) -> int:
        with contextlib.suppress(AssertionError):
            pid = until(self._faults.ffmpegs, within_s=2)[0].pid
            os.kill(pid, number)
            return pid
        raise NothingDone

    def _pause_ffmpeg(self) -> None:
        pid = self._signal_ffmpeg(signal.SIGSTOP)
        self._later(self._rng.uniform(1, 4), partial(os.kill, pid, signal.SIGCONT))

    def _delete_queue(self) -> None:
        with self._channel() as channel:
            channel.queue_delete(self._rng.choice(QUEUES))

    def _unbind_queue(self) -> None:
        queue = self._rng.choice(DECLARED)
        with self._channel() as channel:
            for key in queue.routing_keys:
                channel.queue_unbind(queue.name, EXCHANGE, routing_key=key)
        self._later(5, partial(declare, self._amqp_url))

    def _publish_malformed(self) -> None:
        with self._channel() as channel:
            for body in _MALFORMED:
                channel.basic_publish(EXCHANGE, self._rng.choice(list(EventName)), body)

    def _publish_again(self) -> None:
        """Publish events of conversions of all ages once more, in another order."""
        documents = list(self._database.conversions.aggregate([{"$sample": {"size": 10}}]))
        events = [event for document in documents for event in _events_of(document)]
        if not events:
            raise NothingDone
        with self._channel() as channel:
            for event in self._rng.sample(events, len(events)):
                body = {"event": event.event, "conversion_id": event.conversion_id, "occurred_at": event.occurred_at}
                properties = pika.BasicProperties(message_id=event.id)
                channel.basic_publish(EXCHANGE, event.event, msgspec.json.encode(body), properties)

    def _sweep(self) -> None:
        self._sweeper.sweep()

    @contextlib.contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        with connect_rabbit(self._amqp_url, timeout_s=2) as connection:
            yield connection.channel()


def _events_of(document: Document) -> Iterator[Event]:
    """Yield the events of a conversion that are written in it, and one as it began with."""
    yield Event(document["_id"], EventName.VIDEO_UPLOADED, document["_id"], document["created_at"])
    yield from map(to_event, document["pending_events"])
    if "untold" in document:
        yield to_event(document["untold"]["event"])
    told = [notice["event_id"] for notice in document.get("notices") or []]
    for event_id in told:
        is_last = event_id == told[-1] and document["state"] == "completed" and "untold" not in document
        name = EventName.CONVERSION_COMPLETED if is_last else EventName.CONVERSION_FAILED
        yield Event(event_id, name, document["_id"], utc_now())
