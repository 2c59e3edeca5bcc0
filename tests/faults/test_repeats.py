"""What comes twice, comes late, or comes again and again."""

import contextlib
import signal

import psutil
import pytest
from pymongo.database import Database

from functions.convert.mongo_claims import MongoClaims
from functions.shared.conversions import Mp3, Video
from functions.shared.events import EventName
from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.conversions import event
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.faults.workers import Plan, Point, Workers, messages, stopped_in_mid_encode, wait_for_leases
from tests.media import Media
from tests.tus import Tus, until

DELIVERIES = 5
LOST = "the claim was lost"


@pytest.mark.row(13)
@pytest.mark.parametrize("point", [Point.BEFORE_STORING, Point.BEFORE_COMMIT])
def test_a_worker_that_wakes_up_late_changes_nothing(
    workers: Workers, media: Media, observed: Observed, point: Point
) -> None:
    """It believes that the conversion is its own, while another has it: neither MP3 nor document may be touched."""
    stalled = workers.start(plan=Plan(point, signal.SIGSTOP))
    conversion_id = workers.add(media.video("mkv"))
    stalled.wait_until_stopped()
    wait_for_leases(workers.database)
    # The other one is held just before its commit, so that the first wakes up while nothing is decided.
    other = workers.start(plan=Plan(Point.BEFORE_COMMIT, signal.SIGSTOP))
    workers.sweep_when_it_can_help()
    other.wait_until_stopped()
    before = workers.document(conversion_id)

    stalled.go_on()
    until(lambda: stalled.said(LOST))

    assert workers.document(conversion_id) == before
    assert workers.mp3s(conversion_id) == [f"{conversion_id}-{before['fence']}"]
    other.go_on()
    verdict = workers.checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    document = workers.document(conversion_id)
    assert (document["state"], document["attempts"], document["fence"]) == ("completed", 2, before["fence"])
    assert workers.mp3s(conversion_id) == [document["mp3_file_id"]] == [f"{conversion_id}-{before['fence']}"]
    assert workers.letters() == 1
    observed(
        f"stalled {point}: fence 1 refused while {before['fence']} held it, MP3s {len(workers.mp3s(conversion_id))}, "
        f"letters {workers.letters()}"
    )


@pytest.mark.row(14)
def test_a_message_that_comes_to_five_workers_at_once_is_converted_once(
    workers: Workers, media: Media, observed: Observed
) -> None:
    """RabbitMQ delivers at least once, and may do so to several."""
    crew = [workers.start("convert") for _ in range(DELIVERIES)]
    until(lambda: workers.said('"consuming"') == DELIVERIES, within_s=60)
    conversion_id, uploaded = workers.store(media.video("mp4 moov last", 120))

    for _ in range(DELIVERIES):
        workers.events.publish(uploaded)

    until(lambda: workers.said('"converting"') == 1)
    [chosen] = [worker for worker in crew if worker.said('"converting"')]
    ffmpeg = stopped_in_mid_encode(chosen.pid)
    until(lambda: workers.said("nothing to convert") == DELIVERIES - 1)
    ffmpeg.resume()
    until(lambda: workers.said('"message done"') == DELIVERIES)
    document = workers.document(conversion_id)
    assert (document["state"], document["attempts"], document["fence"]) == ("completed", 1, 1)
    encodes = workers.said('"converting"')
    assert (encodes, workers.mp3s(conversion_id)) == (1, [document["mp3_file_id"]])
    # One event was owed, by one commit.
    until(lambda: workers.messages() == {"conversion_notification_queue": 1})
    observed(f"{DELIVERIES} deliveries of video.uploaded to {len(crew)} workers: encodes {encodes}, events 1")


@pytest.mark.row(14)
def test_an_event_that_comes_to_five_workers_at_once_is_told_once(
    workers: Workers, media: Media, observed: Observed
) -> None:
    """People do not want five letters."""
    for _ in range(DELIVERIES):
        workers.start("notify")
    until(lambda: workers.said('"consuming"') == DELIVERIES, within_s=60)
    conversion_id, _ = workers.store(media.video("mkv"))
    claims = MongoClaims(workers.database, lease_s=30)
    claim = claims.claim(conversion_id, "worker")
    assert claim
    completed = event(EventName.CONVERSION_COMPLETED, conversion_id)
    claims.complete(claim, Mp3(1, "00", 3.0, 64_000, 44_100, 2), Video(bytes=1, sha256="00"), [], completed)

    for _ in range(DELIVERIES):
        workers.events.publish(completed)

    # Who came while another held it leaves it to him, and who came later finds it told.
    until(lambda: workers.said('"message done"') == DELIVERIES, within_s=60)
    told = workers.said('"told"')
    assert (workers.letters(), told, workers.said("nobody told")) == (1, 1, DELIVERIES - 1)
    until(lambda: workers.messages() == {})
    observed(f"{DELIVERIES} deliveries of conversion.completed: letters {workers.letters()}")


@pytest.mark.row(16)
def test_a_conversion_that_fails_always_is_ended_by_our_own_count(
    stack: RunningStack,
    faults: Faults,
    checker: Checker,
    database: Database[Document],
    tus: Tus,
    media: Media,
    observed: Observed,
) -> None:
    """The broker's count is of deliveries: a restart counts there too, and at its end the message is gone."""
    before = dead_letters(stack)
    conversion_id = tus.person.upload(media.video("mp4 moov last", 120)).id
    killed: set[int] = set()

    def has_failed() -> bool:
        for ffmpeg in faults.ffmpegs():
            with contextlib.suppress(psutil.NoSuchProcess):
                ffmpeg.kill()
                killed.add(ffmpeg.pid)
        return database.conversions.find_one({"_id": conversion_id, "state": "failed"}) is not None

    until(has_failed, within_s=120)

    verdict = checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    failed = tus.person.conversion(conversion_id)
    assert failed.error
    document = database.conversions.find_one({"_id": conversion_id})
    assert document
    # The fence counts how often it was begun, whatever the attempts say.
    assert (failed.error.type, failed.attempts, document["fence"]) == ("attempts-exhausted", 3, 3)
    [notice] = document["notices"]
    letters = [path for path in stack.outbox.glob("*.eml") if notice["event_id"] in path.name]
    assert len(letters) == 1
    until(lambda: set(messages(stack.urls.amqp)) <= set(before))
    assert dead_letters(stack) == before
    observed(
        f"ffmpeg killed {len(killed)} times: {failed.error.type} after {failed.attempts} attempts, "
        f"letters {len(letters)}, new dead letters 0, queues empty"
    )


def dead_letters(stack: RunningStack) -> dict[str, int]:
    """Return how many there are in each dead-letter queue that has some."""
    return {name: count for name, count in messages(stack.urls.amqp).items() if name.endswith(".dlq")}
