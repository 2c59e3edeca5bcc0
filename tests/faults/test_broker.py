"""What is published while RabbitMQ restarts, and what stands in its queues that is none of ours."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from infra.rabbitmq.topology import QUEUES
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.faults.sweeping import Sweeper
from tests.media import Media
from tests.tus import Tus, until

UPLOADERS = 2
# A pace at which people upload, not one at which a machine can.
PAUSE_S = 0.5

OURS = {"conversion_id": "c1", "occurred_at": "2026-01-01T12:00:00Z"}
EVENTS = ("video.uploaded", "conversion.completed")
GOOD = {queue.name: json.dumps({**OURS, "event": name}).encode() for queue, name in zip(QUEUES, EVENTS, strict=True)}
MALFORMED = {
    "empty": b"",
    "no UTF-8": b"\xff\x00\xfe",
    "no JSON": b"{'event': 'video.uploaded'}",
    "base64 of it": base64.b64encode(GOOD[QUEUES[0].name]),
    "cut off": GOOD[QUEUES[0].name][:-9],
    "a list": b"[]",
    "nothing": b"null",
    "no fields": b"{}",
    "an unknown event": json.dumps({**OURS, "event": "video.stolen"}).encode(),
    "numbers": b'{"event": "video.uploaded", "conversion_id": 7, "occurred_at": 8}',
    "an operator": b'{"event": "video.uploaded", "conversion_id": {"$ne": ""}, "occurred_at": "2026-01-01T12:00:00Z"}',
    "no time": b'{"event": "video.uploaded", "conversion_id": "c1", "occurred_at": "soon"}',
    "no zone of time": b'{"event": "video.uploaded", "conversion_id": "c1", "occurred_at": "9999999999"}',
    "nested": b'{"event":' * 50_000,
    "huge": b'{"event": "video.uploaded", "conversion_id": "' + b"x" * 7_000_000 + b'"}',
}


@pytest.fixture
def video(media: Media) -> Path:
    return media.video("mkv", 1)


def accepted(stack: RunningStack, tus: Tus, video: Path) -> str:
    """Send a video and return the id of its conversion."""
    headers = {"Authorization": f"Bearer {tus.token}"}
    answer = httpx.post(f"{stack.url}/v1/conversions", headers=headers, files={"video": video.read_bytes()}, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.row(10)
def test_uploads_go_on_while_rabbitmq_restarts(
    stack: RunningStack,
    faults: Faults,
    checker: Checker,
    sweeper: Sweeper,
    database: Database[Document],
    tus: Tus,
    video: Path,
    observed: Observed,
) -> None:
    """A publication may be cut off at any byte. What was not confirmed is owed, and is sent again."""
    ids: list[str] = []
    is_back = threading.Event()

    def upload() -> None:
        while not is_back.wait(PAUSE_S):
            ids.append(accepted(stack, tus, video))

    def owed() -> int:
        return database.conversions.count_documents({"_id": {"$in": ids}, "pending_events.0": {"$exists": True}})

    with ThreadPoolExecutor(UPLOADERS) as threads:
        uploaders = [threads.submit(upload) for _ in range(UPLOADERS)]
        try:
            until(lambda: len(ids) >= UPLOADERS)
            killed = faults.kill("rabbitmq")
            until(lambda: owed() >= UPLOADERS, within_s=60)
            faults.wait_until_well(killed)
            left = owed()
        finally:
            is_back.set()
        for uploader in uploaders:
            uploader.result(60)

    def nothing_is_owed() -> bool:
        sweeper.sweep()
        return not owed()

    until(nothing_is_owed, within_s=120)

    verdict = checker.wait(ids, within_s=180)
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    assert verdict.ends == {"completed": len(ids)}
    observed(f"{len(ids)} uploads, all accepted, {left} events still owed when it was back; {verdict}")


@pytest.mark.row(15)
def test_malformed_messages_stand_in_nobodys_way(
    stack: RunningStack, checker: Checker, tus: Tus, video: Path, observed: Observed
) -> None:
    """They never get better, so they must neither come again nor end a consumer; and someone may want to see them."""
    triggers = stack.pids["triggers"]
    with pika.BlockingConnection(pika.URLParameters(stack.urls.amqp)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for queue, other in zip(QUEUES, reversed(QUEUES), strict=True):
            for name, body in MALFORMED.items():
                send(channel, queue.name, body, name)
            send(channel, queue.name, GOOD[other.name], "of another queue")
            send(channel, queue.name, GOOD[queue.name], None)

        started = time.monotonic()
        conversion_id = accepted(stack, tus, video)
        verdict = checker.wait([conversion_id])
        seconds = time.monotonic() - started

        letters = [taken(channel, queue.dead_letters, len(MALFORMED) + 2) for queue in QUEUES]
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    assert tus.person.conversion(conversion_id).attempts == 1
    for names in letters:
        assert sorted(names, key=str) == sorted([*MALFORMED, "of another queue", None], key=str)
    assert stack.pids["triggers"] == triggers
    counts = " and ".join(str(len(names)) for names in letters)
    observed(f"{counts} dead letters, the same triggers, the next video converted in {seconds:.1f} s")


def send(channel: BlockingChannel, queue: str, body: bytes, message_id: str | None) -> None:
    properties = pika.BasicProperties(message_id=message_id, delivery_mode=2, type="malformed")
    channel.basic_publish("", queue, body, properties, mandatory=True)


def taken(channel: BlockingChannel, queue: str, count: int) -> list[str | None]:
    """Take the messages of this test out of a queue, as soon as there are so many, and return their ids."""
    ids: list[str | None] = []

    def take() -> bool:
        method, properties, _ = channel.basic_get(queue)
        if method and properties and properties.type == "malformed":
            channel.basic_ack(method.delivery_tag)
            ids.append(properties.message_id)
        return len(ids) == count

    until(take)
    return ids
