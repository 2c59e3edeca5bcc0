"""The rules of sweep. Each does a bounded part of its work, so that a run ends; the next run goes on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from aws_lambda_powertools import Logger

from functions.shared.clock import Clock
from functions.shared.events import Event, EventName, Events, Outbox, publish_owed
from functions.shared.files import Files
from functions.shared.metrics import NO_METRICS, RULES_FAILED, SWEPT, Metrics
from functions.sweep.abandoned import AbandonedUploads
from functions.sweep.backlog import NOTHING_WAITS, Backlog, QueueLengths, measure
from functions.sweep.expired import ExpiredConversions
from functions.sweep.leftovers import Leftovers
from functions.sweep.stalled import StalledConversions
from functions.sweep.tombstones import Tombstones

# The most that one rule does in one run, but for the relay.
LIMIT = 500
# How many events of one name the relay looks up at once, and for how long it goes on in one run.
RELAY_AT_ONCE = 100
RELAY_FOR = timedelta(seconds=20)
# Whoever changes a state publishes its events right after. Sweep does not race them.
RELAY_AFTER = timedelta(seconds=5)
# For so long after the end of a conversion somebody is still told of it. An older letter would only puzzle.
TELL_WITHIN = timedelta(days=3)
# Nor does it race those who delete. And by then a worker that was storing an MP3 has seen that it is not wanted.
PURGE_AFTER = timedelta(seconds=60)
# For so long after an upload expired or was deleted a request may still be writing to it; really it is seconds.
DISCARD_AFTER = timedelta(hours=1)
# How many files of a bucket are looked at in one run.
LOOK_AT = 200
# Nobody writes a file for so long that nothing owns: an upload under way has its document, an MP3 under way its claim.
# What remains is somebody who stalled, and clocks that go wrong.
LEFT_FOR = timedelta(days=1)


@dataclass(frozen=True)
class Deps:
    """What sweep works with. After `reannounce_after` what nobody seems to have heard of is announced again."""

    outbox: Outbox
    events: Events
    stalled: StalledConversions
    tombstones: Tombstones
    abandoned: AbandonedUploads
    expired: ExpiredConversions
    leftover_videos: Leftovers
    leftover_mp3s: Leftovers
    videos: Files
    mp3s: Files
    reannounce_after: timedelta
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger
    backlog: Backlog = NOTHING_WAITS
    queues: QueueLengths = dict
    metrics: Metrics = NO_METRICS


class SweepFailed(Exception):
    """Raised at the end of a run in which a rule failed. The log says why."""


def sweep(deps: Deps) -> dict[str, int]:
    """Apply every rule, and return how much each did. One that fails does not stop the next. Raises SweepFailed."""
    done: dict[str, int] = {}
    for name, rule in RULES.items():
        try:
            done[name] = rule(deps)
        except Exception:
            deps.logger.exception("rule failed", extra={"rule": name})
            deps.metrics.count(RULES_FAILED, rule=name)
        else:
            deps.metrics.count(SWEPT, done[name], rule=name)
    deps.logger.info("swept", extra=done)
    _look(deps)
    if failed := RULES.keys() - done.keys():
        raise SweepFailed(f"These rules failed: {', '.join(sorted(failed))}.")
    return done


def _look(deps: Deps) -> None:
    """Note what waits. Nothing depends on it, so sweep does not fail with it."""
    try:
        measure(deps.backlog, deps.queues, TELL_WITHIN, deps.clock, deps.metrics)
    except Exception:
        deps.logger.warning("what waits is not known", exc_info=True)


def relay(deps: Deps) -> int:
    """Publish events that are still owed, because the broker was down or somebody died before he could.

    After a long outage they are many: it goes on while it finds others, until its time in this run is over.
    """
    return publish_owed(_owed(deps), deps.events, deps.outbox, deps.logger)


def _owed(deps: Deps) -> Iterator[Event]:
    """Yield what is owed, batch after batch, each event once: what is found again could not be published."""
    ends_at = deps.clock() + RELAY_FOR
    seen: set[str] = set()
    while batch := [event for event in _due(deps) if event.id not in seen]:
        for event in batch:
            if deps.clock() >= ends_at:
                return
            seen.add(event.id)
            yield event


def _due(deps: Deps) -> list[Event]:
    """Look up events of all names, the oldest first, so that all names get their turn in a short run."""
    now = deps.clock()
    owed = [event for name in EventName for event in deps.outbox.owed(name, RELAY_AT_ONCE)]
    # One that is still to happen was owed by somebody with another clock. It must not wait for ours.
    due = (event for event in owed if abs(now - event.occurred_at) >= RELAY_AFTER)
    return sorted(due, key=lambda event: event.occurred_at)


def reclaim(deps: Deps) -> int:
    """Queue conversions again whose workers died."""
    return _tell(deps.stalled.reclaim(LIMIT, _announce(deps)), "reclaimed", deps)


def reannounce(deps: Deps) -> int:
    """Announce conversions again that nobody seems to have heard of."""
    return _tell(deps.stalled.reannounce(LIMIT, _announce(deps), deps.reannounce_after), "announced again", deps)


def renotify(deps: Deps) -> int:
    """Announce outcomes again of which nobody was told: their messages were dead-lettered in an outage of the mail."""
    return _tell(deps.stalled.renotify(LIMIT, deps.reannounce_after, TELL_WITHIN), "outcome announced again", deps)


def purge(deps: Deps) -> int:
    """Delete what files deleted conversions still have: whoever deleted them died in between, or a worker was late."""
    conversion_ids = deps.tombstones.unpurged(LIMIT, PURGE_AFTER)
    for conversion_id in conversion_ids:
        deps.videos.delete(conversion_id)
        for file_id in deps.mp3s.ids(f"{conversion_id}-"):
            deps.mp3s.delete(file_id)
        deps.tombstones.mark_purged(conversion_id)
        deps.logger.info("purged", extra={"conversion_id": conversion_id})
    return len(conversion_ids)


def expire(deps: Deps) -> int:
    """Delete conversions that were kept long enough. Their files are deleted like those of all that was deleted."""
    conversion_ids = deps.expired.delete(LIMIT)
    for conversion_id in conversion_ids:
        deps.logger.info("expired", extra={"conversion_id": conversion_id})
    return len(conversion_ids)


def discard(deps: Deps) -> int:
    """Delete uploads with which nobody goes on; their bytes too, unless they have become a video."""
    uploads = deps.abandoned.expired(LIMIT, DISCARD_AFTER)
    for upload in uploads:
        if not upload.has_conversion:
            deps.videos.delete(upload.upload_id)
        deps.abandoned.forget(upload.upload_id)
        deps.logger.info("discarded", extra={"conversion_id": upload.upload_id, **upload._asdict()})
    return len(uploads)


def clear_videos(deps: Deps) -> int:
    """Find videos, and parts of videos, that no upload and no conversion owns. `discard` deletes them an hour later."""
    return _clear(deps.leftover_videos, "videos", deps)


def clear_mp3s(deps: Deps) -> int:
    """Delete MP3s, and parts of MP3s, that no conversion names or will name."""
    return _clear(deps.leftover_mp3s, "mp3s", deps)


def _clear(leftovers: Leftovers, bucket: str, deps: Deps) -> int:
    file_ids = leftovers.clear(LOOK_AT, LEFT_FOR)
    for file_id in file_ids:
        # An MP3 has a fencing number behind the id of its conversion.
        conversion_id = file_id.rpartition("-")[0] if bucket == "mp3s" else file_id
        extra = {"conversion_id": conversion_id, "bucket": bucket, "file_id": file_id}
        deps.logger.warning("leftover", extra=extra)
    return len(file_ids)


RULES: Mapping[str, Callable[[Deps], int]] = {
    "published": relay,
    "reclaimed": reclaim,
    "reannounced": reannounce,
    "renotified": renotify,
    "expired": expire,
    "purged": purge,
    "discarded": discard,
    "leftover_videos": clear_videos,
    "leftover_mp3s": clear_mp3s,
}


def _announce(deps: Deps) -> Callable[[str], Event]:
    return lambda conversion_id: Event(deps.new_id(), EventName.VIDEO_UPLOADED, conversion_id, deps.clock())


def _tell(owed: list[Event], what: str, deps: Deps) -> int:
    for event in owed:
        deps.logger.warning(what, extra={"conversion_id": event.conversion_id, "event_id": event.id})
    publish_owed(owed, deps.events, deps.outbox, deps.logger)
    return len(owed)
