"""What is left of an upload, and of what it owes, when a process dies at the worst moment."""

import http.client
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pika
import pytest
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.conversions import Video
from functions.shared.events import Event
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.rabbit_events import CONVERSION_QUEUE, NOTIFICATION_QUEUE
from infra.local.stack import RunningStack
from tests.conversions import conversion, event
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.parts import Death, Parts
from tests.faults.processes import Faults
from tests.faults.sweeping import Sweeper
from tests.media import Media
from tests.tus import Tus, until, upload_id

# Of uploads in upload, of the relay in sweep.
BYTES_STORED = Death("conversions", "add")
BYTES_STORED_WITH_KEY = Death("conversions", "add_once")
ACCEPTED = Death("events", "publish")
PUBLISHED = Death("outbox", "mark_published")
KEY = "a key that its client made"


@pytest.fixture
def video(media: Media) -> Path:
    return media.video("mkv", 1)


def send_form(tus: Tus, url: str, video: Path) -> httpx.Response:
    """Send a video, each time with the same Idempotency-Key, as a client does that got no answer."""
    headers = {"Authorization": f"Bearer {tus.token}", "Idempotency-Key": KEY}
    form = {"video": (video.name, video.read_bytes())}
    return httpx.post(f"{url}/v1/conversions", headers=headers, files=form, timeout=30)


def is_lost(send: Callable[[], object]) -> bool:
    """Whether no answer comes."""
    try:
        send()
    except (httpx.TransportError, http.client.HTTPException, OSError):
        return True
    return False


def send_and_lose(parts: Parts, content: bytes, death: Death) -> tuple[Tus, str]:
    """Send all bytes of an upload to a gateway that dies of them. Return who sent them, and the path of the upload."""
    gateway = parts.gateway(death)
    tus = parts.new_person()
    path = tus.create(len(content))
    assert is_lost(lambda: tus.patch(path, 0, content))
    gateway.wait_until_killed()
    return tus, path


def owing(parts: Parts, video: Path) -> Event:
    """Accept a video as the conversion c1 and return its event, which nobody has published."""
    stored = GridFSFiles(parts.database, "videos").put("c1", [video.read_bytes()])
    owed = event(conversion_id="c1")
    new = conversion("c1", video=Video(stored.bytes, stored.sha256), updated_at=utc_now())
    MongoConversions(parts.database).add(new, [owed])
    return owed


def messages(amqp_url: str, queue: str, count: int) -> list[str]:
    """Wait until a queue holds so many messages, look at them, and return their ids."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        until(lambda: channel.queue_declare(queue, passive=True).method.message_count == count)
        ids = []
        for _ in range(count):
            _, properties, _ = channel.basic_get(queue)
            assert properties
            ids.append(properties.message_id)
    return ids


def converted(parts: Parts, conversion_id: str) -> Document:
    """Start a worker, wait for the end of a conversion, the only one, and return its document."""
    parts.triggers("convert", "notify")
    verdict = parts.checker.wait([conversion_id])
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    [document] = parts.database.conversions.find()
    assert (document["_id"], document["state"], document["attempts"]) == (conversion_id, "completed", 1)
    assert parts.files("mp3s") == [document["mp3_file_id"]]
    assert parts.files("videos") == [conversion_id]
    assert len(parts.letters()) == 1
    return document


@pytest.mark.row(7)
def test_a_form_that_died_before_it_was_accepted_can_be_sent_again(
    parts: Parts, video: Path, observed: Observed
) -> None:
    """The bytes of the first try belong to nobody, and go; the next one is the first that counts."""
    gateway = parts.gateway(BYTES_STORED_WITH_KEY)
    tus = parts.new_person()
    assert is_lost(lambda: send_form(tus, parts.url, video))
    gateway.wait_until_killed()
    [left] = parts.files("videos")
    assert parts.database.conversions.count_documents({}) == 0

    parts.gateway()
    early = send_form(tus, parts.url, video)
    parts.age("idempotency_keys", "held_until", timedelta(minutes=1))
    again = send_form(tus, parts.url, video)
    parts.sweep()
    stored = parts.files("videos")
    parts.age("uploads", "expires_at", timedelta(hours=1))
    parts.sweep()

    assert (early.status_code, again.status_code) == (409, 202)
    conversion_id = again.json()["id"]
    assert stored == sorted([left, conversion_id])
    converted(parts, conversion_id)
    observed(f"form: sent again {early.status_code} at once and {again.status_code} later, 1 of 2 videos swept, 1 MP3")


@pytest.mark.row(7)
def test_an_upload_that_died_before_it_was_accepted_goes_on(parts: Parts, video: Path, observed: Observed) -> None:
    """The client asks for the offset and sends the last bytes again, as after any broken connection."""
    content = video.read_bytes()
    tus, path = send_and_lose(parts, content, BYTES_STORED)
    assert parts.files("videos") == [upload_id(path)]
    assert parts.database.conversions.count_documents({}) == 0

    parts.gateway()
    offset = tus.offset(path)
    held = tus.patch(path, offset, content[offset:])
    parts.age("uploads", "hold.renewed_at", timedelta(minutes=1))
    again = tus.patch(path, offset, content[offset:])
    parts.sweep()

    assert (held.status, again.status, again.offset) == (423, 204, len(content))
    converted(parts, upload_id(path))
    observed(f"tus: offset {offset}, sent again {held.status} at once and {again.status} later, 1 MP3")


@pytest.mark.row(7)
def test_an_upload_that_died_and_is_given_up_leaves_nothing(parts: Parts, video: Path, observed: Observed) -> None:
    """It was never accepted, so nothing may come of it; and disks are not for what nobody can reach."""
    _, path = send_and_lose(parts, video.read_bytes(), BYTES_STORED)

    parts.sweep()
    before = parts.files("videos")
    parts.age("uploads", "expires_at", timedelta(days=1, hours=1))
    parts.sweep()

    assert before == [upload_id(path)]
    assert parts.files("videos") == []
    assert parts.database.conversions.count_documents({}) == 0
    assert parts.database.uploads.count_documents({}) == 0
    observed("tus given up: its bytes gone after a day and an hour, not before")


@pytest.mark.row(8)
def test_a_form_that_died_when_it_was_accepted_is_converted(parts: Parts, video: Path, observed: Observed) -> None:
    """Nobody was told of the video but the database, and that is enough. Sent again, it is the same conversion."""
    gateway = parts.gateway(ACCEPTED)
    tus = parts.new_person()
    assert is_lost(lambda: send_form(tus, parts.url, video))
    gateway.wait_until_killed()
    [document] = parts.database.conversions.find()
    assert (document["state"], len(document["pending_events"])) == ("queued", 1)

    parts.gateway()
    parts.age("idempotency_keys", "held_until", timedelta(minutes=1))
    again = send_form(tus, parts.url, video)
    parts.age_owed()
    parts.sweep()

    assert (again.status_code, again.json()["id"]) == (202, document["_id"])
    converted(parts, document["_id"])
    observed("form: owed 1 event, sent again it is the same conversion, swept, 1 MP3, 1 letter")


@pytest.mark.row(8)
def test_an_upload_that_died_when_it_was_accepted_is_converted(parts: Parts, video: Path, observed: Observed) -> None:
    """The client finds it complete, and has no reason to send anything."""
    content = video.read_bytes()
    tus, path = send_and_lose(parts, content, ACCEPTED)

    parts.gateway()
    offset = tus.offset(path)
    parts.age_owed()
    parts.sweep()

    assert offset == len(content)
    converted(parts, upload_id(path))
    observed(f"tus: complete at offset {offset}, swept, 1 MP3, 1 letter")


@pytest.mark.row(8)
def test_a_gateway_that_is_killed_while_it_publishes_loses_nothing(
    stack: RunningStack,
    faults: Faults,
    checker: Checker,
    sweeper: Sweeper,
    database: Database[Document],
    tus: Tus,
    video: Path,
    observed: Observed,
) -> None:
    """The same with nothing replaced: the broker hangs, and the process that waits for it is killed."""
    content = video.read_bytes()
    with faults.paused("rabbitmq"):
        path = tus.create(len(content))
        with tus.begin_patch(path, 0, len(content)) as sending:
            sending.send(content)
            owing = {"_id": upload_id(path), "pending_events.0": {"$exists": True}}
            document = until(lambda: database.conversions.find_one(owing))
            killed = faults.kill("gateway")
            assert is_lost(sending.answer)
    faults.wait_until_well(killed)

    def nothing_is_owed() -> bool:
        sweeper.sweep()
        return database.conversions.find_one(owing) is None

    until(nothing_is_owed, within_s=60)

    verdict = checker.wait([document["_id"]])
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    done = tus.person.conversion(document["_id"])
    assert (done.state, done.attempts) == ("completed", 1)
    observed(f"the gateway killed at the broker: {verdict}")


@pytest.mark.row(9)
def test_a_video_that_is_announced_twice_is_converted_once(
    parts: Parts, amqp_url: str, video: Path, observed: Observed
) -> None:
    """Whoever publishes first and notes it then may publish twice; the other way round it might be never."""
    owed = owing(parts, video)

    parts.sweep(PUBLISHED)
    assert messages(amqp_url, CONVERSION_QUEUE, 1) == [owed.id]
    parts.sweep()
    twice = messages(amqp_url, CONVERSION_QUEUE, 2)

    assert twice == [owed.id, owed.id]
    document = converted(parts, "c1")
    observed(f"video.uploaded published {len(twice)} times: attempts {document['attempts']}, 1 MP3, 1 letter")


@pytest.mark.row(9)
def test_an_outcome_that_is_announced_twice_is_told_once(
    parts: Parts, amqp_url: str, video: Path, observed: Observed
) -> None:
    """Two letters about one video look like two videos."""
    owing(parts, video)
    parts.sweep()
    parts.triggers("convert", death=ACCEPTED).wait_until_killed()

    parts.age_owed()
    parts.sweep(PUBLISHED)
    parts.sweep()
    twice = messages(amqp_url, NOTIFICATION_QUEUE, 2)
    notify = parts.triggers("notify")
    until(lambda: notify.said("it was told before"))

    assert len(set(twice)) == 1
    verdict = parts.checker.wait(["c1"])
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    assert len(parts.letters()) == 1
    observed(f"conversion.completed published {len(twice)} times: {len(parts.letters())} letter")
