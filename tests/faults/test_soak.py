"""Whatever happens, and whenever: nothing is lost, nothing waits for ever, nothing is there twice."""

import contextlib
import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pika.exceptions
import pytest

from functions.shared.mongo import connect_mongo
from infra.local.stack import running_stack
from infra.rabbitmq.topology import declare
from tests.faults.checker import Checker
from tests.faults.conftest import Observed
from tests.faults.load import load, make_clips
from tests.faults.processes import Faults
from tests.faults.soak import Mischief, another_worker
from tests.faults.sweeping import Sweeper
from tests.media import Media
from tests.reports import Report
from tests.tcp_proxy import proxied
from tests.tus import until

SOAK_S = float(os.environ.get("SOAK_S") or 30)
PEOPLE = 6
LEASE_S = 3
# What was lost with a queue is announced again after so long.
SETTINGS = {"LEASE_S": str(LEASE_S), "REANNOUNCE_S": "10", "RETRY_PAUSE_S": "1"}
_ENDED_WITHIN_S = 180.0
# A letter whose sender has died waits for two minutes, and then for sweep. A short soak does not wait so long.
_TOLD_WITHIN_S = max(30.0, SOAK_S / 3)


@pytest.mark.row(29)
@pytest.mark.timeout(SOAK_S + _ENDED_WITHIN_S + _TOLD_WITHIN_S + 240)
def test_nothing_is_lost_when_anything_happens_at_any_time(
    media: Media, tmp_path: Path, report: Report, observed: Observed
):
    """All other tests of faults do one thing at a moment that somebody thought of. Reality does not think."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    clips = make_clips(media, tmp_path)
    with (
        running_stack(tmp_path / "stack", {**os.environ, **SETTINGS}) as stack,
        connect_mongo(stack.urls.mongodb).client as client,
        proxied(stack.url) as (proxy, url),
        another_worker(stack.urls, SETTINGS, tmp_path / "another-worker.log"),
    ):
        database = client.get_database("video2mp3")
        checker = Checker(database, stack.outbox)
        sweeper = Sweeper(stack.urls, SETTINGS)
        mischief = Mischief(stack, database, sweeper, proxy, random.Random(seed), lease_s=LEASE_S)
        with load(url, clips, tmp_path, people=PEOPLE, seed=seed) as running:
            mischief.run(SOAK_S)
            quiet_since = time.monotonic()
            until(lambda: _declared(stack.urls.amqp), within_s=60)
            Faults(stack).wait_until_well()
            running.stop()
        diary = running.diary
        to_the_end_s = _settle(checker.under_way, sweeper, quiet_since, _ENDED_WITHIN_S)
        until_told_s = _settle(checker.untold, sweeper, quiet_since, _TOLD_WITHIN_S)
        owed = checker.untold()
        verdict = checker.look_at_all(diary.accepted)

    injected = sum(mischief.done.values())
    report.add(
        f"Soak: {SOAK_S:.0f} s of anything at random, SOAK_SEED={seed}",
        f"{len(diary.accepted):>5} uploads acknowledged: {_counts(diary.ways)}",
        f"      of these: {_counts(diary.videos)}",
        f"{diary.downloads:>5} MP3s downloaded and compared; {diary.given_up} uploads given up by their clients",
        f"{injected:>5} faults: {_counts(mischief.done)}",
        f"{sum(verdict.ends.values()):>5} at an end: {_counts(verdict.ends)}",
        f"      {verdict}",
        f"      all at an end {to_the_end_s:.0f} s after the last fault",
        f"      letters, too, after {until_told_s:.0f} s; {owed} still owed",
    )
    observed(
        f"{SOAK_S:.0f} s, {len(diary.accepted)} uploads, {injected} faults: {verdict}; ended in {to_the_end_s:.0f} s"
    )
    where = f"SOAK_SEED={seed}, logs: {tmp_path}/stack/logs, {tmp_path}/*.log"
    assert diary.surprises == [], where
    assert verdict.is_clean, f"{verdict.reasons}\n{where}"
    assert verdict.untold == [], f"{verdict.reasons}\n{where}"
    assert injected >= SOAK_S / 6, mischief.done
    assert len(diary.accepted) >= SOAK_S / 6, where


def _settle(left: Callable[[], int], sweeper: Sweeper, since: float, within_s: float) -> float:
    """Sweep until nothing is left, and return how long ago `since` is then. If something stays, the checker tells."""
    deadline = time.monotonic() + within_s
    while left() and time.monotonic() < deadline:
        sweeper.sweep()
        with contextlib.suppress(AssertionError):
            until(lambda: not left(), within_s=3)
    return time.monotonic() - since


def _declared(amqp_url: str) -> bool:
    """Declare again what an unlucky fault may have taken away last. Returns whether it could be done."""
    try:
        declare(amqp_url)
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
