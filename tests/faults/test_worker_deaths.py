"""Whatever ends a worker or its ffmpeg in the middle, at last there is one whole MP3, and one letter."""

import contextlib
import signal
from pathlib import Path

import psutil
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.faults.sweeping import Sweeper
from tests.faults.workers import (
    Plan,
    Point,
    Workers,
    mp3_bytes,
    seconds_until_gone,
    stopped_in_mid_encode,
    wait_for_leases,
)
from tests.media import Media, decoded_seconds
from tests.tus import Tus, until

# LAME needs half a second for it, on a core of its own.
SECONDS = 120


@pytest.fixture(scope="module")
def video(media: Media) -> Path:
    return media.video("mp4 moov last", SECONDS)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.row(1), id="SIGKILL"),
        pytest.param(signal.SIGTERM, marks=pytest.mark.row(3), id="SIGTERM"),
    ],
)
def test_an_ffmpeg_that_is_ended_has_made_no_mp3(
    stack: RunningStack,
    checker: Checker,
    database: Database[Document],
    tus: Tus,
    video: Path,
    tmp_path: Path,
    observed: Observed,
    number: signal.Signals,
) -> None:
    """What is left of the MP3 plays, after SIGTERM even with a right ending. Nobody must get that for the whole."""
    conversion_id = tus.person.upload(video).id
    ffmpeg = stopped_in_mid_encode(stack.pids["triggers"])
    left = mp3_bytes(ffmpeg)

    ffmpeg.send_signal(number)
    # SIGKILL does not wait for that, and whoever is killed may be gone.
    with contextlib.suppress(psutil.NoSuchProcess):
        ffmpeg.resume()

    verdict = checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    done = tus.person.conversion(conversion_id)
    assert (done.state, done.attempts) == ("completed", 2)
    mp3s = database["mp3s.files"].distinct("_id", {"_id": {"$regex": f"^{conversion_id}"}})
    assert mp3s == [f"{conversion_id}-2"]
    tus.person.save(conversion_id, tmp_path / "a.mp3")
    seconds = decoded_seconds(tmp_path / "a.mp3")
    assert seconds == pytest.approx(SECONDS, abs=0.2)
    observed(
        f"{number.name} with {left} of {done.mp3.bytes if done.mp3 else 0} bytes written: attempts {done.attempts}, "
        f"MP3s {len(mp3s)}, {seconds:.1f} of {SECONDS} s"
    )


@pytest.mark.row(2)
def test_a_worker_that_is_killed_takes_its_ffmpeg_along(workers: Workers, video: Path, observed: Observed) -> None:
    """An ffmpeg that goes on for hours would have a core that another worker needs."""
    worker = workers.start()
    conversion_id = workers.add(video)
    ffmpeg = stopped_in_mid_encode(worker.pid)

    worker.process.kill()

    gone_s = seconds_until_gone(ffmpeg)
    workers.start()
    until(lambda: workers.said("nothing to convert"))
    workers.sweep_when_it_can_help()
    verdict = workers.checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    document = workers.document(conversion_id)
    assert (document["state"], document["attempts"]) == ("completed", 2)
    assert workers.mp3s(conversion_id) == [document["mp3_file_id"]]
    assert workers.letters() == 1
    observed(
        f"ffmpeg gone {gone_s:.2f} s after its worker: attempts {document['attempts']}, "
        f"MP3s {len(workers.mp3s(conversion_id))}, letters {workers.letters()}"
    )


@pytest.mark.row(2)
def test_the_stack_bears_that_its_worker_is_killed(
    stack: RunningStack,
    faults: Faults,
    checker: Checker,
    sweeper: Sweeper,
    database: Database[Document],
    tus: Tus,
    video: Path,
    observed: Observed,
) -> None:
    """The same with nothing replaced: the supervisor starts the worker again."""
    conversion_id = tus.person.upload(video).id
    ffmpeg = stopped_in_mid_encode(stack.pids["triggers"])

    killed = faults.kill("triggers")

    seconds_until_gone(ffmpeg)
    faults.wait_until_well(killed)
    wait_for_leases(database)
    sweeper.sweep()
    verdict = checker.wait([conversion_id])
    assert verdict.is_clean, verdict.reasons
    done = tus.person.conversion(conversion_id)
    assert (done.state, done.attempts) == ("completed", 2)
    observed(f"under the supervisor: attempts {done.attempts}")


@pytest.mark.row(4)
def test_a_worker_may_die_at_any_moment_around_the_commit(workers: Workers, media: Media, observed: Observed) -> None:
    """Before it the MP3 is nobody's, and made again. After it, whoever gets the message again does nothing."""
    died = {}
    for point in Point:
        worker = workers.start("convert", plan=Plan(point))
        died[point] = workers.add(media.video("mkv"))
        assert worker.wait_until_dead() == signal.SIGKILL
    assert workers.mp3s(died[Point.BEFORE_STORING]) == []
    assert all(workers.mp3s(died[point]) == [f"{died[point]}-1"] for point in Point if point != Point.BEFORE_STORING)
    committed = {point: workers.document(died[point])["completed_at"] for point in Point if point.is_committed}

    workers.start()
    until(lambda: workers.said("nothing to convert") == len(Point))
    workers.sweep_when_it_can_help()

    verdict = workers.checker.wait(died.values())
    assert verdict.is_clean, verdict.reasons
    assert verdict.repeated_letters == 0
    for point, conversion_id in died.items():
        document = workers.document(conversion_id)
        tries, fence = (1, 1) if point.is_committed else (2, 3)
        assert (document["state"], document["attempts"], document["fence"]) == ("completed", tries, fence)
        assert workers.mp3s(conversion_id) == [document["mp3_file_id"]] == [f"{conversion_id}-{fence}"]
        assert document["completed_at"] == committed.get(point, document["completed_at"])
        observed(f"killed {point}: attempts {document['attempts']}, MP3s {len(workers.mp3s(conversion_id))}")
    assert workers.letters() == len(died)
    observed(f"letters {workers.letters()} about {len(died)} conversions")
