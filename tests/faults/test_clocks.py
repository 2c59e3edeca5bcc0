"""Clocks that jump by five minutes while work is under way.

Leases, holds, keys and what is kept are measured by MongoDB's clock. Tokens and links are not: whoever reads one goes
by his own.
"""

import os
import signal
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from functions.auth.tokens import LEEWAY
from functions.shared.clock import utc_now
from functions.shared.conversions import Video
from functions.shared.files import GridFSFiles
from functions.shared.mongo_conversions import MongoConversions
from tests.conversions import conversion, event
from tests.faults.conftest import Observed
from tests.faults.parts import JumpingClock, Parts
from tests.faults.workers import stopped_in_mid_encode
from tests.letters import in_outbox
from tests.media import Media
from tests.tus import Tus, upload_id

FIVE_MINUTES = timedelta(minutes=5)
TOKEN_LIFE = timedelta(minutes=15)
RETENTION = timedelta(days=30)
# Longer than sweep leaves an event to whoever owes it.
A_WHILE = timedelta(seconds=10)
# Longer than anything in these tests takes.
SOON = timedelta(minutes=3)


@pytest.fixture
def clock(tmp_path: Path) -> JumpingClock:
    return JumpingClock(tmp_path / "clock")


def status(parts: Parts, token: str) -> int:
    """Return how a guarded route answers to this token."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{parts.url}/v1/auth/me", headers=headers, timeout=30).status_code


def stay_in(tus: Tus) -> None:
    """Ask something, as a client does that gets a new token when the old one is refused."""
    assert tus.person.me().id == tus.id
    assert tus.person._tokens is not None
    tus.token = tus.person._tokens.access


def send_form(parts: Parts, tus: Tus, video: bytes) -> str:
    """Send a video, each time under the same key, and return the id of its conversion."""
    headers = {"Authorization": f"Bearer {tus.token}", "Idempotency-Key": "a key"}
    answer = httpx.post(f"{parts.url}/v1/conversions", headers=headers, files={"video": video}, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.row(26)
@pytest.mark.parametrize("ahead", [FIVE_MINUTES, -FIVE_MINUTES], ids=["ahead", "back"])
def test_work_goes_on_when_the_clock_jumps(
    parts: Parts, clock: JumpingClock, media: Media, observed: Observed, ahead: timedelta
) -> None:
    """Gateway, worker and sweep have another time than what is stored: begun, held, claimed, owed, and told."""
    video = media.video("mkv", 1).read_bytes()
    parts.gateway(environ=clock.environ)
    worker = parts.triggers("convert", "notify", environ={**clock.environ, "LEASE_S": "30"})
    tus = parts.new_person()
    ids = [tus.person.upload(media.video("mp4 moov last", 60)).id]
    ffmpeg = stopped_in_mid_encode(worker.pid)
    path = tus.create(len(video))
    tus.patch(path, 0, video[:1000])
    ids += [upload_id(path), send_form(parts, tus, video), "owing"]
    stored = GridFSFiles(parts.database, "videos").put("owing", [video])
    owing = conversion("owing", video=Video(stored.bytes, stored.sha256), created_at=utc_now(), updated_at=utc_now())
    owed = replace(event(conversion_id="owing"), occurred_at=utc_now() - A_WHILE)
    MongoConversions(parts.database).add(owing, [owed])

    clock.jump(ahead)

    answered = status(parts, tus.token)
    stay_in(tus)
    newcomer = parts.new_person()
    parts.sweep(environ=clock.environ)
    published = parts.database.conversions.count_documents({"pending_events.0": {"$exists": True}}) == 0
    assert tus.patch(path, 1000, video[1000:]).status == 204
    assert send_form(parts, tus, video) == ids[2]
    ffmpeg.resume()
    verdict = parts.checker.wait(ids)
    assert published
    assert (verdict.is_clean, verdict.untold, verdict.repeated_letters) == (True, [], 0), verdict.reasons
    for document in parts.database.conversions.find():
        assert (document["state"], document["attempts"]) == ("completed", 1)
        assert abs(document["completed_at"] - utc_now()) < SOON
        assert document["expires_at"] - document["completed_at"] == RETENTION
    links = [letter.link for letter in in_outbox(parts.outbox, tus.person.me().email)]
    assert [httpx.get(link, timeout=30).status_code for link in links] == [200] * 3

    clock.jump(timedelta(0))

    back = status(parts, newcomer.token)
    for person in (tus, newcomer):
        stay_in(person)
    assert [httpx.get(link, timeout=30).status_code for link in links] == [200] * 3
    completed = verdict.ends["completed"]
    observed(
        f"{ahead.total_seconds():+.0f} s: {completed} of {len(ids)} completed in 1 attempt each, {len(links)} links "
        f"work; a token of before {answered}, and of then when it is over {back}; a new one 200"
    )


@pytest.mark.row(26)
def test_a_token_bears_the_leeway_and_no_more(parts: Parts, clock: JumpingClock, observed: Observed) -> None:
    """Those who sign and those who check are different machines. A token that lives for ever is worth stealing."""
    parts.gateway(environ=clock.environ)
    tus = parts.new_person()
    near, far = LEEWAY - timedelta(seconds=20), LEEWAY + timedelta(seconds=20)
    jumps = [-FIVE_MINUTES, -far, -near, near, FIVE_MINUTES, TOKEN_LIFE, TOKEN_LIFE + far]

    seen = {}
    for ahead in jumps:
        clock.jump(ahead)
        seen[ahead] = status(parts, tus.token)

    assert list(seen.values()) == [401, 401, 200, 200, 200, 200, 401]
    said = ", ".join(f"{ahead.total_seconds():+.0f} s {answer}" for ahead, answer in seen.items())
    observed(f"leeway {LEEWAY.total_seconds():.0f} s: {said}")


@pytest.mark.row(26)
def test_a_jump_of_the_clock_of_mongodb_costs_an_attempt_at_most(
    parts: Parts, media: Media, observed: Observed
) -> None:
    """Then all leases have ended at once, although the workers are well. They must not both make an MP3."""
    parts.gateway()
    worker = parts.triggers("convert", "notify", environ={"LEASE_S": "30", "CONVERT_WORKERS": "2"})
    tus = parts.new_person()
    conversion_id = tus.person.upload(media.video("mp4 moov last", 60)).id
    ffmpeg = stopped_in_mid_encode(worker.pid)

    # Not even the next renewal comes in time. For those who compare, a clock that is ahead is times that are earlier.
    os.kill(worker.pid, signal.SIGSTOP)
    parts.age("conversions", "lease.expires_at", FIVE_MINUTES)
    parts.sweep()
    os.kill(worker.pid, signal.SIGCONT)
    ffmpeg.resume()

    verdict = parts.checker.wait([conversion_id])
    assert (verdict.is_clean, verdict.untold) == (True, []), verdict.reasons
    [document] = parts.database.conversions.find()
    assert (document["state"], document["attempts"]) == ("completed", 2)
    assert parts.files("mp3s") == [document["mp3_file_id"]]
    assert len(parts.letters()) == 1
    observed(f"MongoDB's +300 s: {document['state']}, attempts {document['attempts']}, 1 MP3, 1 letter")
