"""The power fails under load, and comes back."""

import contextlib
import os
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from functions.shared.mongo import connect_mongo
from infra.local.processes import free_port
from infra.local.stack import RunningStack, running_stack
from tests.faults.checker import ENDS, Checker
from tests.faults.conftest import Observed
from tests.faults.load import load, make_clips
from tests.faults.processes import Faults
from tests.media import Media
from tests.reports import Report
from tests.tus import until

PEOPLE = 3
# So long people upload before it happens, and when all runs again.
BEFORE_S, AFTER_S = 5.0, 2.0
ENDED_WITHIN_S = 180.0
SERVERS = {"mongod", "beam.smp", "postgres"}


@pytest.mark.row(29)
@pytest.mark.timeout(600)
def test_all_that_was_accepted_comes_to_an_end_after_everything_was_killed_at_once(
    media: Media, tmp_path: Path, report: Report, observed: Observed
):
    """Then nothing helps but what was on the disk before it was acknowledged, and a stack that is started again."""
    # With LEASE_S=30, which is what those have who set nothing, it takes longer. It has to hold as well.
    settings = {"LEASE_S": "3", **os.environ, "PORT": str(free_port())}
    folder, clips = tmp_path / "stack", make_clips(media, tmp_path)
    with contextlib.ExitStack() as people:
        with running_stack(folder, settings) as stack:
            running = people.enter_context(load(stack.url, clips, tmp_path, people=PEOPLE, seed=29))
            time.sleep(BEFORE_S)
            Faults(stack).ffmpeg()
            killed = _kill_everything(stack)
        before = {each.id for each in running.accepted}
        died_at = time.monotonic()
        # Nobody told the people, who try again and again.
        with running_stack(folder, settings) as stack, connect_mongo(stack.urls.mongodb).client as client:
            ready_after_s = time.monotonic() - died_at
            conversions = client.get_default_database("video2mp3").conversions
            checker = Checker(conversions.database, stack.outbox)
            not_at_an_end = {"_id": {"$in": sorted(before)}, "state": {"$nin": list(ENDS)}}
            left = conversions.count_documents(not_at_an_end)
            until(lambda: not conversions.count_documents(not_at_an_end), within_s=ENDED_WITHIN_S)
            to_the_end_s = time.monotonic() - died_at
            time.sleep(max(0.0, ready_after_s + AFTER_S - to_the_end_s))
            running.stop()
            until(lambda: not checker.under_way() + checker.untold(), within_s=ENDED_WITHIN_S)
            verdict = checker.look_at_all(running.accepted)

    diary = running.diary
    report.add(
        f"Everything killed at once: {', '.join(f'{name} {count}' for name, count in sorted(killed.items()))}",
        f"{len(before):>5} uploads acknowledged before; {left} of them not at an end when the stack was ready again,",
        f"      {ready_after_s:.1f} s after; all at an end {to_the_end_s:.1f} s after",
        f"{len(diary.accepted) - len(before):>5} uploads acknowledged after",
        f"      {verdict}",
    )
    observed(f"all killed at once, {len(before)} uploads at an end {to_the_end_s:.0f} s later: {verdict}")
    where = f"The stack's log is {folder}/logs/stack.log"
    assert killed.keys() >= SERVERS, killed
    assert before, where
    assert diary.surprises == [], where
    assert verdict.is_clean, f"{verdict.reasons}\n{where}"
    assert verdict.untold == [], f"{verdict.reasons}\n{where}"


def _kill_everything(stack: RunningStack) -> Counter[str]:
    """Kill all processes of a stack at once, and return what they were, by name, when they are gone."""
    supervisor = psutil.Process(stack.pids["supervisor"])
    leash = supervisor.parent()
    assert leash is not None
    everything = leash.children(recursive=True)
    names: Counter[str] = Counter()
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):  # a short one, as of PostgreSQL, may have ended since
            names[process.name()] += 1
    # The deepest come first: a server must not get another signal because whoever holds its leash is gone.
    for process in (*reversed(everything), leash):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(_runs, everything)))
    return names


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
