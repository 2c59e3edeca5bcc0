"""The triggers with a real RabbitMQ: nothing is lost, nothing is done twice without need, and all of it ends."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pika
import pika.exceptions
import pika.frame
import pika.spec
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from functions.shared.logs import get_logger
from functions.shared.metrics import CALLS_UNDER_WAY, CONSUMERS, MESSAGE_SECONDS, MESSAGES, NO_METRICS, Metrics
from infra.invoke import AnswerLost, FunctionFailed, Functions, FunctionUnavailable, to_payload
from infra.rabbitmq.topology import CONVERSIONS, DELIVERY_LIMIT, QUEUES, declare
from infra.template import QueueTrigger, load_template
from infra.triggers.backoff import Backoff
from infra.triggers.consumer import Consumer
from tests.fakes.metrics import FakeMetrics
from tests.tcp_proxy import proxied

ROOT = Path(__file__).parents[2]
TRIGGER = QueueTrigger("ConvertFunction", CONVERSIONS.name, batch_size=1)
AT_ONCE = 0.01
LOGGER = get_logger("test")


def eventually(condition: Callable[[], Any], timeout_s: float = 15) -> Any:
    """Return what `condition` answers as soon as that is true; the test fails if it never is."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"It did not come true within {timeout_s} s."
        time.sleep(0.02)
    return answer


@dataclass
class Calls:
    """Functions that note each message id, and then do what `on_call` says. Implements Functions."""

    on_call: Callable[[str], None] = lambda _: None
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    redelivered: list[bool] = field(default_factory=list)

    def invoke(self, function_name: str, event: Any) -> Any:
        assert function_name == TRIGGER.function
        assert to_payload(event)
        [(queue, [message])] = event["rmqMessagesByQueue"].items()
        assert queue.startswith(f"{CONVERSIONS.name}::")
        message_id = message["basicProperties"]["messageId"]
        self.redelivered.append(message["redelivered"])
        self.begun.append(message_id)
        self.on_call(message_id)
        self.done.append(message_id)


class Held(Calls):
    """Calls that last until `release` is set."""

    def __init__(self) -> None:
        super().__init__(lambda _: self._hold())
        self.release = threading.Event()

    def _hold(self) -> None:
        assert self.release.wait(30)


class Queues:
    """The broker as an onlooker sees it."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel

    def publish(self, *message_ids: str, body: bytes = b"{}") -> None:
        for message_id in message_ids:
            properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
            self._channel.basic_publish("", CONVERSIONS.name, body, properties, mandatory=True)

    def ready(self, name: str = CONVERSIONS.name) -> int:
        """How many messages nobody holds."""
        count: int = self._channel.queue_declare(name, passive=True).method.message_count
        return count

    def consumers(self) -> int:
        count: int = self._channel.queue_declare(CONVERSIONS.name, passive=True).method.consumer_count
        return count

    def delete(self) -> None:
        self._channel.queue_delete(CONVERSIONS.name)

    def take(self, name: str) -> tuple[str | None, bytes | None]:
        """Take one message out; return its id and its body."""
        _, properties, body = self._channel.basic_get(name, auto_ack=True)
        return (properties.message_id if properties else None), body


@pytest.fixture
def queues(amqp_url: str) -> Iterator[Queues]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield Queues(channel)


class Crew:
    """Consumers in threads, which are stopped when the test ends."""

    def __init__(self, amqp_url: str) -> None:
        self.amqp_url = amqp_url
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []

    def consume(
        self,
        functions: Functions,
        *,
        amqp_url: str | None = None,
        pause_s: float = AT_ONCE,
        heartbeat_s: int = 30,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        consumer = Consumer(
            f"convert {len(self.threads) + 1}",
            TRIGGER,
            functions,
            amqp_url or self.amqp_url,
            declare=declare,
            stopping=self.stopping,
            logger=LOGGER,
            pauses=Backoff(first_s=pause_s, longest_s=pause_s),
            reconnects=Backoff(first_s=0.05, longest_s=0.2),
            heartbeat_s=heartbeat_s,
            metrics=metrics,
        )
        self.threads.append(threading.Thread(target=consumer.run))
        self.threads[-1].start()

    def stop(self, timeout_s: float = 15) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout_s)
        assert not [thread for thread in self.threads if thread.is_alive()]


@pytest.fixture
def crew(amqp_url: str) -> Iterator[Crew]:
    crew = Crew(amqp_url)
    yield crew
    crew.stop()


def test_a_message_is_gone_when_the_function_returned(crew: Crew, queues: Queues):
    """Acknowledged once, it must not come again when the consumer leaves."""
    calls = Calls()
    queues.publish("m1", "m2")

    crew.consume(calls)
    eventually(lambda: calls.done == ["m1", "m2"])
    crew.stop()

    assert queues.ready() == 0
    assert calls.redelivered == [False, False]


def test_a_message_comes_again_when_the_function_raised(crew: Crew, queues: Queues):
    """A passing fault costs an attempt, never a message; the function sees that it is a repeat."""

    def fail_once(_: str) -> None:
        if len(calls.begun) == 1:
            raise FunctionFailed("ConvertFunction", "Unavailable", "MongoDB is down.")

    calls = Calls(fail_once)
    queues.publish("m1")

    crew.consume(calls)

    eventually(lambda: calls.done == ["m1"])
    assert calls.begun == ["m1", "m1"]
    assert calls.redelivered == [False, True]


def test_what_became_of_each_message_is_counted(crew: Crew, queues: Queues):
    """Also of those that nobody hears of again, since they are dead letters."""
    metrics = FakeMetrics()
    under_way: list[float] = []

    def work(message_id: str) -> None:
        under_way.append(metrics.value(CALLS_UNDER_WAY, function=TRIGGER.function))
        if message_id == "malformed":
            raise FunctionFailed("ConvertFunction", "MalformedMessage", "A message cannot be read.")
        if message_id == "unlucky" and calls.begun.count(message_id) == 1:
            raise FunctionFailed("ConvertFunction", "Unavailable", "MongoDB is down.")
        if message_id == "early" and calls.begun.count(message_id) == 1:
            raise FunctionUnavailable("The host is starting.")

    def count(outcome: str) -> float:
        return metrics.value(MESSAGES, queue=CONVERSIONS.name, outcome=outcome)

    calls = Calls(work)
    queues.publish("malformed", "unlucky", "early")

    crew.consume(calls, metrics=metrics)
    eventually(lambda: count("done") == 2)
    consuming = metrics.value(CONSUMERS, queue=CONVERSIONS.name)
    crew.stop()

    assert [count(outcome) for outcome in ("never", "again", "later")] == [1, 1, 1]
    assert len(metrics.values(MESSAGE_SECONDS, queue=CONVERSIONS.name)) == 5
    assert set(under_way) == {1}
    assert metrics.value(CALLS_UNDER_WAY, function=TRIGGER.function) == 0
    assert (consuming, metrics.value(CONSUMERS, queue=CONVERSIONS.name)) == (1, 0)


def test_a_bug_in_the_bridge_or_the_network_costs_no_message(crew: Crew, queues: Queues):
    """Whatever is raised, and not only what a function raises, gives the message back."""

    def fail_once(_: str) -> None:
        if len(calls.begun) == 1:
            raise ZeroDivisionError

    calls = Calls(fail_once)
    queues.publish("m1")

    crew.consume(calls)

    eventually(lambda: calls.done == ["m1"])


def test_a_failed_message_rests_before_it_comes_again(crew: Crew, queues: Queues):
    """Twenty deliveries in a second would turn each short outage into dead letters."""
    times: list[float] = []

    def fail_twice(_: str) -> None:
        times.append(time.monotonic())
        if len(times) < 3:
            raise FunctionFailed("ConvertFunction", "Unavailable", "MongoDB is down.")

    calls = Calls(fail_twice)
    queues.publish("m1")

    crew.consume(calls, pause_s=0.6)

    eventually(lambda: calls.done)
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize(
    "error",
    [
        FunctionFailed("ConvertFunction", "Unavailable", "MongoDB is down."),
        FunctionUnavailable("The host is starting."),
    ],
    ids=["failed", "unavailable"],
)
def test_a_consumer_that_rests_leaves_at_once(crew: Crew, queues: Queues, error: Exception):
    """A pause may last 30 s; a shutdown must not wait for it, and the message goes back, for others."""

    def fail(_: str) -> None:
        raise error

    calls = Calls(fail)
    queues.publish("m1")
    crew.consume(calls, pause_s=60)
    eventually(lambda: calls.begun)

    started = time.monotonic()
    crew.stop()

    assert time.monotonic() - started < 30
    eventually(lambda: queues.ready() == 1)
    assert calls.begun == ["m1"]


def test_a_malformed_message_goes_to_the_dead_letters_and_the_next_is_served(crew: Crew, queues: Queues):
    """It will never get better, so it must neither come again nor stand in the way; and someone may want to see it."""

    def refuse(message_id: str) -> None:
        if message_id == "bad":
            raise FunctionFailed("ConvertFunction", "MalformedMessage", "A message cannot be read.")

    calls = Calls(refuse)
    queues.publish("bad", body=b"\xff not json")
    queues.publish("good")

    crew.consume(calls)

    eventually(lambda: calls.done == ["good"])
    eventually(lambda: queues.ready(CONVERSIONS.dead_letters) == 1)
    assert queues.take(CONVERSIONS.dead_letters) == ("bad", b"\xff not json")
    assert calls.begun == ["bad", "good"]


def test_a_message_that_always_fails_ends_in_the_dead_letters(crew: Crew, queues: Queues):
    """Without a limit, one such message would keep a worker busy for ever."""

    def refuse(message_id: str) -> None:
        if message_id == "poison":
            raise FunctionFailed("ConvertFunction", "KeyError", "'x'")

    calls = Calls(refuse)
    queues.publish("poison", "good")

    crew.consume(calls)

    eventually(lambda: queues.ready(CONVERSIONS.dead_letters) == 1, timeout_s=30)
    eventually(lambda: calls.done == ["good"])
    assert calls.begun.count("poison") == DELIVERY_LIMIT + 1
    assert queues.take(CONVERSIONS.dead_letters)[0] == "poison"


@pytest.mark.parametrize(
    ("message_id", "body"), [(b"m\xff1", b"{}"), ("m1", b'{"event":' + b"[" * 100_000)], ids=["its id", "its body"]
)
def test_a_message_that_nobody_foresaw_does_not_end_a_consumer(
    crew: Crew, queues: Queues, message_id: Any, body: bytes
):
    """The function says what comes of it, and the next one is there."""
    calls = Calls()
    queues.publish(message_id, body=body)
    queues.publish("m2")

    crew.consume(calls)

    eventually(lambda: calls.done[-1:] == ["m2"])
    assert len(calls.done) == 2
    assert not any(calls.redelivered)


def test_a_message_waits_for_as_long_as_its_function_is_unavailable(crew: Crew, queues: Queues):
    """A host that is away for an hour is no fault of a message: it must not become a dead letter."""

    def be_away(_: str) -> None:
        if len(calls.begun) <= DELIVERY_LIMIT + 5:
            raise FunctionUnavailable("The host is starting.")

    calls = Calls(be_away)
    queues.publish("m1", "m2")

    crew.consume(calls)

    eventually(lambda: calls.done == ["m1", "m2"], timeout_s=30)
    assert not any(calls.redelivered)
    assert queues.ready(CONVERSIONS.dead_letters) == 0


def test_a_message_that_kills_its_function_ends_in_the_dead_letters(crew: Crew, queues: Queues):
    """A function that was called and gave no answer may have died of the message."""

    def die(message_id: str) -> None:
        if message_id == "poison":
            raise AnswerLost("The connection was closed.")

    calls = Calls(die)
    queues.publish("poison", "good")

    crew.consume(calls)

    eventually(lambda: queues.ready(CONVERSIONS.dead_letters) == 1, timeout_s=30)
    eventually(lambda: calls.done == ["good"])


def test_a_consumer_holds_one_message_at_a_time(crew: Crew, queues: Queues):
    """A message that waits behind a long conversion is one that a free worker could have."""
    calls = Held()
    queues.publish("m1", "m2", "m3")

    crew.consume(calls)
    eventually(lambda: calls.begun)

    eventually(lambda: queues.ready() == 2)
    assert calls.begun == ["m1"]
    calls.release.set()
    eventually(lambda: calls.done == ["m1", "m2", "m3"])


def test_as_many_messages_are_worked_on_at_once_as_there_are_consumers(crew: Crew, queues: Queues):
    """Each core gets a conversion."""
    calls = Held()
    queues.publish("m1", "m2", "m3", "m4")

    for _ in range(3):
        crew.consume(calls)
    eventually(lambda: len(calls.begun) == 3)

    eventually(lambda: queues.ready() == 1)
    calls.release.set()
    eventually(lambda: sorted(calls.done) == ["m1", "m2", "m3", "m4"])


def test_a_stop_waits_for_the_call_under_way_and_takes_nothing_new(crew: Crew, queues: Queues):
    """What is nearly done is worth finishing; what has not begun goes to another worker."""
    calls = Held()
    queues.publish("m1", "m2")
    crew.consume(calls)
    eventually(lambda: calls.begun)

    crew.stopping.set()
    calls.release.set()
    crew.stop()

    assert calls.done == ["m1"]
    # The broker hands back what a client that left had not acknowledged, in its own time.
    eventually(lambda: queues.ready() == 1)
    assert queues.take(CONVERSIONS.name)[0] == "m2"


def test_heartbeats_go_on_during_a_long_call(crew: Crew, queues: Queues):
    """RabbitMQ drops a silent client after two intervals, and would give its message to somebody else."""
    calls = Held()
    queues.publish("m1")

    crew.consume(calls, heartbeat_s=1)
    eventually(lambda: calls.begun)
    assert not calls.release.wait(4)
    calls.release.set()

    eventually(lambda: calls.done)
    crew.stop()
    assert calls.begun == ["m1"]
    assert queues.ready() == 0


CONNECTION_FORCED = pika.frame.Method(0, pika.spec.Connection.Close(320, "CONNECTION_FORCED", 0, 0)).marshal()


@pytest.mark.parametrize("last_words", [b"", CONNECTION_FORCED], ids=["without a word", "closed by the broker"])
def test_a_lost_connection_is_made_again(crew: Crew, queues: Queues, last_words: bytes):
    """A broker restarts for an upgrade; nobody restarts the workers."""
    with proxied(crew.amqp_url) as (proxy, url):
        calls = Calls()
        crew.consume(calls, amqp_url=url)
        queues.publish("m1")
        eventually(lambda: calls.done == ["m1"])

        proxy.cut(last_words)
        queues.publish("m2")

        # If the cut came before its ack, m1 is there twice, which functions bear.
        eventually(lambda: calls.done[-1:] == ["m2"])
        crew.stop()


def test_a_broker_that_is_not_there_yet_is_waited_for(crew: Crew, queues: Queues):
    """Processes start in any order."""
    with proxied(crew.amqp_url) as (proxy, url):
        proxy.go_down()
        calls = Calls()
        queues.publish("m1")
        crew.consume(calls, amqp_url=url)
        eventually(lambda: proxy.refused >= 3)

        proxy.come_up()

        eventually(lambda: calls.done == ["m1"])
        crew.stop()


def test_a_call_goes_on_when_its_connection_is_lost(crew: Crew, queues: Queues):
    """Hours of work are not thrown away; its message comes again, which functions bear."""
    with proxied(crew.amqp_url) as (proxy, url):
        calls = Held()
        crew.consume(calls, amqp_url=url)
        queues.publish("m1")
        eventually(lambda: calls.begun)

        proxy.cut()
        eventually(lambda: queues.ready() == 1)
        assert calls.done == []
        calls.release.set()

        eventually(lambda: calls.done == ["m1", "m1"])
        crew.stop()
        assert calls.redelivered == [False, True]
        assert queues.ready() == 0


def test_a_stop_during_an_outage_ends_the_consumer(crew: Crew):
    """Ctrl-C works when nothing else does."""
    with proxied(crew.amqp_url) as (proxy, url):
        proxy.go_down()
        crew.consume(Calls(), amqp_url=url)
        eventually(lambda: proxy.refused)

        crew.stop(timeout_s=5)


def test_a_queue_that_was_deleted_is_declared_again(crew: Crew, queues: Queues):
    """The broker says so once, and a consumer that missed it would wait for ever."""
    calls = Calls()
    crew.consume(calls)
    eventually(lambda: queues.consumers() == 1)

    queues.delete()
    with pika.BlockingConnection(pika.URLParameters(crew.amqp_url)) as connection:
        eventually(lambda: exists(connection))
    queues.publish("m1")

    eventually(lambda: calls.done == ["m1"])


def exists(connection: pika.BlockingConnection) -> bool:
    try:
        connection.channel().queue_declare(CONVERSIONS.name, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


# The whole process, with functions of our own.

TEMPLATE = """
Resources:
  ConvertFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: slow.convert
      Timeout: 840
      Events:
        Uploaded: {Type: MQ, Properties: {Queues: [video_conversion_queue], BatchSize: 1}}
  SweepFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: slow.sweep
      Events:
        EveryMinute: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
"""
FUNCTIONS = """
import time
from pathlib import Path

import msgspec

class Settings(msgspec.Struct):
    folder: str

def convert(event, context):
    Path("begun").touch()
    while context.get_remaining_time_in_millis() > 500:
        if Path("release").exists():
            Path("done").touch()
            return
        if context.get_remaining_time_in_millis() <= 25_000:
            Path("told").touch()
        time.sleep(0.05)
    Path("gave up").touch()
    if Path("hang").exists():
        time.sleep(3600)
    raise TimeoutError("no time left")

def sweep(event, context):
    Path("swept").touch()
"""
RUN = "import sys, pathlib; from infra.triggers.__main__ import main; sys.exit(main(pathlib.Path('template.yaml')))"


class Process:
    """`python -m infra.triggers`, but for its template, in a folder of its own."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        (folder / "template.yaml").write_text(TEMPLATE)
        (folder / "slow.py").write_text(FUNCTIONS)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            cwd=folder,
            env={**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def put(self, name: str) -> None:
        (self.folder / name).touch()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, timeout_s: float = 15) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was printed."""
        printed, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, printed


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(**environ: str) -> Process:
        started.append(Process(tmp_path, **environ))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.communicate()


def test_a_signal_lets_the_process_finish_its_message(start, amqp_url: str, queues: Queues):
    """A deployment must not throw work away."""
    body = b'{"event":"video.uploaded","conversion_id":"c1","occurred_at":"2026-01-02T03:04:05Z"}'
    queues.publish("m1", "m2", body=body)
    process = start(AMQP_URL=amqp_url, FOLDER="here", CONVERT_WORKERS="1")
    eventually(lambda: process.has("begun"))

    process.signal(signal.SIGTERM)
    eventually(lambda: process.has("told"))
    process.put("release")
    code, printed = process.end()

    assert code == 0, printed
    assert process.has("done")
    assert queues.ready() == 1
    assert '"message":"message done"' in printed
    assert '"message_id":"m1"' in printed
    assert '"conversion_id":"c1"' in printed


def test_a_message_that_cannot_be_finished_in_time_goes_back(start, amqp_url: str, queues: Queues):
    """The function learns how long it has left, gives up, and another worker gets the message."""
    queues.publish("m1")
    process = start(AMQP_URL=amqp_url, FOLDER="here", DRAIN_S="2")
    eventually(lambda: process.has("begun"))

    process.signal(signal.SIGINT)
    code, printed = process.end()

    assert code == 0, printed
    assert process.has("gave up")
    eventually(lambda: queues.ready() == 1)


def test_a_function_that_does_not_end_is_left_behind(start, amqp_url: str, queues: Queues):
    """Kubernetes would kill the process soon after; it had better end in order."""
    queues.publish("m1")
    process = start(AMQP_URL=amqp_url, FOLDER="here", DRAIN_S="1")
    process.put("hang")
    eventually(lambda: process.has("begun"))

    process.signal(signal.SIGTERM)
    code, printed = process.end()

    assert code == 0, printed
    assert "still running" in printed
    eventually(lambda: queues.ready() == 1)


class Busy(BaseHTTPRequestHandler):
    """An endpoint whose functions are never available."""

    called: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.called.append(self.path)
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


def test_functions_that_are_elsewhere_need_no_settings_here(start, amqp_url: str, queues: Queues):
    """The triggers of an emulator, or of AWS, know the broker and nothing else; while nobody answers, messages wait."""
    Busy.called.clear()
    queues.publish("m1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever).start()
        endpoints = f"*=http://127.0.0.1:{busy.server_port}"
        process = start(AMQP_URL=amqp_url, FUNCTION_ENDPOINTS=endpoints, FUNCTION_PREFIX="v-", CONVERT_WORKERS="1")
        eventually(lambda: Busy.called.count("/2015-03-31/functions/v-ConvertFunction/invocations") == 2)

        process.signal(signal.SIGTERM)
        code, printed = process.end()
        busy.shutdown()

    assert code == 0, printed
    assert "function unavailable, message waits" in printed
    assert not process.has("begun")
    eventually(lambda: queues.ready() == 1)


def test_an_endpoint_that_cannot_be_read_is_named(start, amqp_url: str):
    process = start(AMQP_URL=amqp_url, FOLDER="here", FUNCTION_ENDPOINTS="Convert=http://host:9000")

    code, printed = process.end()

    assert code == 1
    assert "FUNCTION_ENDPOINTS" in printed
    assert "'Convert'" in printed


def test_an_endpoint_that_cannot_be_called_is_named(start, amqp_url: str):
    """Half of a key pair is a mistake in a deployment, and should be seen there."""
    endpoints = "*=http://127.0.0.1:9"
    process = start(AMQP_URL=amqp_url, FUNCTION_ENDPOINTS=endpoints, AWS_ACCESS_KEY_ID="AKIDEXAMPLE")

    code, printed = process.end()

    assert code == 1
    assert "AWS_SECRET_ACCESS_KEY" in printed
    assert "Traceback" not in printed


def test_a_second_signal_ends_the_process_at_once(start, amqp_url: str, queues: Queues):
    """Someone presses Ctrl-C twice and means it."""
    queues.publish("m1")
    process = start(AMQP_URL=amqp_url, FOLDER="here")
    eventually(lambda: process.has("begun"))

    process.signal(signal.SIGINT)
    eventually(lambda: process.has("told"))
    process.signal(signal.SIGINT)
    code, _ = process.end(timeout_s=5)

    assert code == 1
    eventually(lambda: queues.ready() == 1)


def test_the_schedule_runs_soon_after_the_start(start, amqp_url: str):
    """What a crash left behind is repaired now, not in a minute."""
    process = start(AMQP_URL=amqp_url, FOLDER="here")

    eventually(lambda: process.has("swept"))

    process.signal(signal.SIGTERM)
    assert process.end()[0] == 0


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "The environment variable AMQP_URL is not set."),
        ({"AMQP_URL": "localhost"}, "The environment variable AMQP_URL cannot be used"),
        ({"AMQP_URL": "amqp://nowhere", "CONVERT_WORKERS": "0"}, "The environment variable CONVERT_WORKERS cannot be"),
        ({"AMQP_URL": "amqp://nowhere"}, "The environment variable FOLDER is not set."),
    ],
    ids=["none", "no URL", "no workers", "a function's"],
)
def test_a_missing_setting_is_told_at_the_start(start, environ: dict[str, str], sentence: str):
    """Ours or a function's: better now than with the first message."""
    code, printed = start(**environ).end()

    assert code == 1
    assert sentence in printed.splitlines()[0]
    assert "Traceback" not in printed


def test_the_queues_of_the_template_are_the_ones_that_are_declared():
    """A trigger on a queue that nobody declares would wait for ever."""
    assert {trigger.queue for trigger in load_template().queue_triggers} == {queue.name for queue in QUEUES}
