"""What is done to RabbitMQ behind the back of the service: queues that go, and alarms that stop every publisher."""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pika
import pika.exceptions
import psutil
import pytest
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.mongo import Document
from functions.shared.rabbit_events import EXCHANGE
from infra.local.rabbitmq import RabbitMQ
from infra.local.stack import RunningStack
from infra.rabbitmq.topology import CONVERSIONS, declare
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.faults.sweeping import Sweeper
from tests.media import Media
from tests.tus import Tus, until

# As `set_vm_memory_high_watermark` and `set_disk_free_limit` do it. The disk is looked at twice a second, or it would
# be every ten seconds.
WATERMARKS = (
    "rabbit_disk_monitor:set_max_check_interval(500), "
    'vm_memory_monitor:set_vm_memory_high_watermark({{absolute, "{memory}"}}), '
    'rabbit_disk_monitor:set_disk_free_limit("{disk}")'
)
# So long ago that sweep has tried in vain, and announces again what is queued.
LONG_AGO = timedelta(minutes=20)


def unbind(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_unbind(CONVERSIONS.name, EXCHANGE, CONVERSIONS.routing_keys[0])


def delete(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(CONVERSIONS.name)


@pytest.fixture
def video(media: Media) -> bytes:
    return media.video("mp4 moov first", 2).read_bytes()


def upload(stack: RunningStack, tus: Tus, video: bytes) -> str:
    """Send a form, which must be accepted, and return the id of its conversion."""
    answer = httpx.post(
        f"{stack.url}/v1/conversions",
        files={"video": ("movie.mp4", video)},
        headers={"Authorization": f"Bearer {tus.token}"},
        timeout=40,
    )
    assert answer.status_code == 202, answer.text
    conversion_id: str = answer.json()["id"]
    return conversion_id


def readiness(stack: RunningStack) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"{stack.url}/readyz", timeout=30)
    body: dict[str, Any] = answer.json()
    return answer.status_code, body["checks"]


def owes(database: Database[Document], conversion_id: str) -> bool:
    document = database.conversions.find_one({"_id": conversion_id})
    assert document is not None
    return bool(document["pending_events"])


def since_long(database: Database[Document], *conversion_ids: str) -> None:
    """Let it be as if these had been as they are for long."""
    before = utc_now() - LONG_AGO
    which = {"_id": {"$in": list(conversion_ids)}}
    times = ("updated_at", "queued_at", "announced_at")
    database.conversions.update_many(which, {"$set": dict.fromkeys(times, before)})
    database.conversions.update_many(
        {**which, "pending_events.0": {"$exists": True}}, {"$set": {"pending_events.0.occurred_at": before}}
    )


@pytest.mark.row(11)
def test_events_of_a_queue_that_was_unbound_stay_owed_until_it_is_bound(
    stack: RunningStack,
    faults: Faults,
    database: Database[Document],
    sweeper: Sweeper,
    checker: Checker,
    tus: Tus,
    video: bytes,
    observed: Observed,
):
    """RabbitMQ confirms a message that no queue takes, and tells nobody that a binding is gone."""
    # The triggers would bind it again.
    with faults.paused("triggers"):
        unbind(stack.urls.amqp)
        accepted = upload(stack, tus, video)
        stays_owed = owes(database, accepted)
        since_long(database, accepted)
        status, checks = readiness(stack)

    declare(stack.urls.amqp)
    sweeper.sweep()
    verdict = checker.wait([accepted])

    assert stays_owed
    assert (status, checks["rabbitmq"]) == (503, "ok")
    assert checks["outbox"].startswith("down: events have been owed for 12")
    assert (verdict.ends["completed"], verdict.is_clean) == (1, True), verdict.reasons
    observed(f"unbound: 202, owed, /readyz {status} ({checks['outbox']}), bound and swept: {dict(verdict.ends)}")


@pytest.mark.row(11)
def test_a_queue_that_was_deleted_is_made_again_and_its_messages_come_back(
    stack: RunningStack,
    faults: Faults,
    database: Database[Document],
    sweeper: Sweeper,
    checker: Checker,
    tus: Tus,
    video: bytes,
    observed: Observed,
):
    """What was in it is gone from RabbitMQ; that the conversions are queued is known to MongoDB all the same."""
    with faults.paused("triggers"):
        lost = upload(stack, tus, video)
        was_published = not owes(database, lost)
        delete(stack.urls.amqp)
        owed = upload(stack, tus, video)
        stays_owed = owes(database, owed)
        since_long(database, lost, owed)
        status, checks = readiness(stack)

    until(lambda: readiness(stack)[1]["rabbitmq"] == "ok", within_s=60)
    sweeper.sweep()
    verdict = checker.wait([lost, owed])

    assert (was_published, stays_owed) == (True, True)
    assert (status, checks["rabbitmq"]) == (503, f"down: the queue {CONVERSIONS.name} is missing")
    assert checks["outbox"].startswith("down: events have been owed for 12")
    assert (verdict.ends["completed"], verdict.is_clean) == (2, True), verdict.reasons
    observed(f"deleted with a message in it: /readyz {status} ({checks['rabbitmq']}), then {dict(verdict.ends)}")


@pytest.fixture
def rabbitmqctl(stack: RunningStack, tmp_path: Path) -> Callable[[str], None]:
    """Has the stack's RabbitMQ do something, in Erlang, as its own command of that name does."""
    program = Path(RabbitMQ(tmp_path).command()[0]).with_name("rabbitmqctl")
    # With its cookie and its epmd. Its port would be used to choose one for the command, perhaps beyond the last.
    environ = psutil.Process(stack.pids["rabbitmq"]).environ()
    del environ["RABBITMQ_DIST_PORT"]

    def run(expression: str) -> None:
        done = subprocess.run(
            [program, "eval", f"{expression}."], env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture
def alarm(rabbitmqctl: Callable[[str], None], stack: RunningStack) -> Iterator[Callable[[], None]]:
    """Alarms for memory and for disk, both of which are over when this is called."""
    over = False

    def end() -> None:
        nonlocal over
        rabbitmqctl(WATERMARKS.format(memory="512MB", disk="100MB"))
        until(lambda: takes_messages(stack.urls.amqp))
        over = True

    try:
        rabbitmqctl(WATERMARKS.format(memory="1", disk="1000000GB"))
        until(lambda: not takes_messages(stack.urls.amqp))
        yield end
    finally:
        if not over:
            end()


def takes_messages(amqp_url: str) -> bool:
    parameters = pika.URLParameters(amqp_url)
    parameters.blocked_connection_timeout = 0.5
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", "nowhere", b"")
    except pika.exceptions.ConnectionBlockedTimeout:
        return False
    return True


@pytest.mark.row(12)
def test_uploads_are_accepted_while_rabbitmq_stops_every_publisher(
    stack: RunningStack,
    database: Database[Document],
    alarm: Callable[[], None],
    sweeper: Sweeper,
    checker: Checker,
    tus: Tus,
    video: bytes,
    observed: Observed,
):
    """In an alarm it takes connections and reads nothing from them: whoever publishes without a time-out hangs."""
    took: list[float] = []

    def send(_: int) -> str:
        started = time.monotonic()
        accepted = upload(stack, tus, video)
        took.append(time.monotonic() - started)
        return accepted

    with ThreadPoolExecutor(4) as people:
        accepted = list(people.map(send, range(4)))
    owed = sum(owes(database, each) for each in accepted)
    under_way = checker.under_way()
    alarm()
    since_long(database, *accepted)
    sweeper.sweep()
    verdict = checker.wait(accepted)

    assert (owed, under_way) == (4, 4)
    # As long as a function behind API Gateway has.
    assert max(took) < 29
    assert (verdict.ends["completed"], verdict.is_clean) == (4, True), verdict.reasons
    observed(f"{len(accepted)} accepted in {max(took):.1f} s at most, {owed} owed, then {dict(verdict.ends)}")
