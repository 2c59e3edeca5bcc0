"""Workers and ffmpegs that stand still, or lack memory or room."""

import contextlib
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pymongo.database import Database

from functions.convert.encoder import FfmpegEncoder
from functions.convert.failures import AttemptFailed
from functions.convert.video import StoredVideo
from functions.shared.conversions import Video
from functions.shared.mongo import Document
from functions.shared.options import Options
from infra.local.stack import RunningStack
from tests.conversions import conversion
from tests.fakes.shared import FakeFiles
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.workers import Plan, Workers, mp3_bytes, seconds_until_gone, stopped_in_mid_encode
from tests.media import Media
from tests.tus import Tus, until

MIB = 1024 * 1024
# ffmpeg starts in it, and cannot open its encoder.
SMALL_MEMORY = 200 * MIB
# Long enough for an ffmpeg on a machine that does much else.
STALL_S = 3


@pytest.mark.row(5)
def test_an_ffmpeg_that_stands_still_is_given_up(workers: Workers, media: Media, observed: Observed) -> None:
    """It would hold a worker until the broker takes the message away, which is hours later."""
    worker = workers.start(plan=Plan(stall_s=STALL_S))
    conversion_id = workers.add(media.video("mp4 moov last", 120))
    ffmpeg = stopped_in_mid_encode(worker.pid)
    assert ffmpeg.pid in of_group(ffmpeg.pid)

    gone_s = seconds_until_gone(ffmpeg)

    until(lambda: not of_group(ffmpeg.pid))
    verdict = workers.checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    document = workers.document(conversion_id)
    assert (document["state"], document["attempts"]) == ("completed", 2)
    assert workers.mp3s(conversion_id) == [document["mp3_file_id"]]
    observed(
        f"given up after {gone_s:.1f} s ({STALL_S} s are allowed here), all of its process group gone: "
        f"attempts {document['attempts']}, MP3s {len(workers.mp3s(conversion_id))}"
    )


@pytest.mark.row(6)
def test_a_conversion_that_always_lacks_memory_fails_and_says_so(
    workers: Workers, media: Media, observed: Observed
) -> None:
    """Its owner hears of it once, with a reason, and nobody tries for ever."""
    workers.start(plan=Plan(memory_bytes=SMALL_MEMORY))

    conversion_id = workers.add(media.video("mp4 moov last"))

    verdict = workers.checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    document = workers.document(conversion_id)
    error = document["error"]["type"]
    assert (document["state"], error, document["attempts"]) == ("failed", "resource-limit", 3)
    assert (workers.mp3s(conversion_id), workers.letters()) == ([], 1)
    until(lambda: workers.messages() == {})
    observed(f"{SMALL_MEMORY // MIB} MiB: {error} after {document['attempts']} attempts, letters {workers.letters()}")


@pytest.mark.row(22)
def test_an_mp3_that_finds_no_room_is_made_when_there_is_some(
    stack: RunningStack,
    checker: Checker,
    tus: Tus,
    media: Media,
    observed: Observed,
) -> None:
    """A full disk is no property of the video."""
    conversion_id = tus.person.upload(media.video("mp4 moov last", 120)).id
    ffmpeg = stopped_in_mid_encode(stack.pids["triggers"])
    written = mp3_bytes(ffmpeg)

    # From here on each write that makes a file longer fails, as on a full disk.
    ffmpeg.rlimit(psutil.RLIMIT_FSIZE, (written, written))
    ffmpeg.resume()

    verdict = checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    done = tus.person.conversion(conversion_id)
    assert (done.state, done.attempts) == ("completed", 2)
    assert temporary_files(stack.pids["triggers"]) == []
    reasons = failed_attempts(stack, conversion_id)
    assert reasons == ["ffmpeg stopped: the MP3 is too large"]
    observed(f"no room for the MP3 after {written} bytes: {reasons[0]!r}, then completed, attempts {done.attempts}")


@pytest.mark.row(22)
@pytest.mark.parametrize("name", ["mp4 moov last", "avi"], ids=["streamed", "from a file"])
def test_a_full_disk_is_told_from_a_bad_video(media: Media, observed: Observed, name: str) -> None:
    """To the device `full` the kernel answers as for a full disk: ENOSPC."""
    path = media.video(name)
    files = FakeFiles()
    files.put("c1", [path.read_bytes()])
    video = StoredVideo(files, conversion("c1", video=Video(bytes=path.stat().st_size, sha256=None)))

    with (
        Path("/dev/full").open("r+b", buffering=0) as full,
        pytest.raises(AttemptFailed, match="disk is full") as failed,
    ):
        FfmpegEncoder(max_duration_s=60).encode(video, full, Options(), lambda _: None)

    observed(f"ENOSPC: {str(failed.value)!r}, may be tried again")


@pytest.mark.row(22)
def test_a_video_that_finds_no_room_is_converted_when_there_is_some(
    stack: RunningStack,
    checker: Checker,
    database: Database[Document],
    tus: Tus,
    media: Media,
    observed: Observed,
) -> None:
    """What ffmpeg cannot read from a pipe has to lie on the disk for a while."""
    video = media.video("avi", 120)
    triggers = stack.pids["triggers"]
    with room(triggers, video.stat().st_size // 2):
        conversion_id = tus.person.upload(video).id
        tried = {"_id": conversion_id, "state": "queued", "attempts": {"$gte": 1}}
        until(lambda: database.conversions.find_one(tried))
        left = temporary_files(triggers)
        assert left == []

    verdict = checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    done = tus.person.conversion(conversion_id)
    reasons = failed_attempts(stack, conversion_id)
    assert done.state == "completed"
    assert done.attempts == len(reasons) + 1
    assert all("File too large" in reason for reason in reasons)
    observed(f"no room for the video: {len(reasons)} failed attempts, {len(left)} files left, then completed")


@contextlib.contextmanager
def room(pid: int, file_bytes: int) -> Iterator[None]:
    """Let files that a process writes become no larger, inside the block."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (file_bytes, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def temporary_files(pid: int) -> list[str]:
    """Return the files without a name that a process holds open: these are its temporary ones."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith("/") and link.endswith("(deleted)")]


def of_group(group: int) -> list[int]:
    """Return the processes of a process group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if os.getpgid(process.pid) == group:
                found.append(process.pid)
    return found


def failed_attempts(stack: RunningStack, conversion_id: str) -> list[str]:
    """Return why attempts failed, as the log says."""
    log = stack.outbox.parent / "logs" / "stack.log"
    lines = (json.loads(line) for line in log.read_text().splitlines() if conversion_id in line and line[0] == "{")
    return [line["reason"] for line in lines if line["message"] == "the attempt failed"]
