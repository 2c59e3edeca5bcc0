"""Fakes of the ports in functions.sweep."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from functions.shared.clock import Clock
from functions.shared.conversions import State
from functions.shared.events import Event
from functions.sweep.abandoned import Abandoned
from functions.sweep.stalled import LONGEST_PAUSES, Announce
from tests.fakes.notify import Notice, notice_key
from tests.fakes.shared import FakeConversions, FakeDatabase, FakeFiles, Record


class FakeStalledConversions:
    def __init__(self, database: FakeDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def reclaim(self, limit: int, announce: Announce) -> list[Event]:
        now = self._clock()
        found = [
            record
            for record in self._in_state(State.CONVERTING)
            if record.lease_until is None or record.lease_until <= now
        ]
        for record in found[:limit]:
            record.fence += 1
            record.lease_until = None
            record.queued_at = now
            record.conversion = msgspec.structs.replace(record.conversion, state=State.QUEUED, progress=0.0)
        return [self._announce(record, announce) for record in found[:limit]]

    def reannounce(self, limit: int, announce: Announce, after: timedelta) -> list[Event]:
        now, passed = self._clock(), self._passed(after)
        found = [
            record
            for record in sorted(self._in_state(State.QUEUED), key=lambda each: each.announced_at)
            if not record.owed
            and record.announced_at + max(after, min(record.announced_at - record.queued_at, LONGEST_PAUSES * after))
            <= now
            and (passed is None or record.announced_at < passed)
        ]
        return [self._announce(record, announce) for record in found[:limit]]

    def _passed(self, within: timedelta) -> datetime | None:
        since = self._clock() - within
        last = [self._in_state(state)[-1:] for state in (State.CONVERTING, State.COMPLETED, State.FAILED)]
        worked_on = [record.queued_at for records in last for record in records if record.conversion.updated_at > since]
        return max(worked_on, default=None)

    def renotify(self, limit: int, after: timedelta, within: timedelta) -> list[Event]:
        now = self._clock()
        found = [
            (completed_at, record, record.untold)
            for record in self._database.records.values()
            if not record.deleted
            and not record.owed
            and record.untold
            and ((record.owed_at or now) <= now - after or _died_over(record, record.untold, now))
            and (completed_at := record.conversion.completed_at or now) >= now - within
        ]
        found.sort(key=lambda each: each[0])
        for _, record, event in found[:limit]:
            record.owed.append(event)
            record.owed_at = now
        return [event for _, _, event in found[:limit]]

    def _in_state(self, state: State) -> list[Record]:
        records = (r for r in self._database.records.values() if r.conversion.state is state and not r.deleted)
        return sorted(records, key=lambda record: record.conversion.updated_at)

    def _announce(self, record: Record, announce: Announce) -> Event:
        event = announce(record.conversion.id)
        record.owed.append(event)
        record.announced_at = self._clock()
        record.conversion = msgspec.structs.replace(record.conversion, updated_at=self._clock())
        return event


def _died_over(record: Record, end: Event, now: datetime) -> bool:
    notice = record.extra.get(notice_key(end))
    return isinstance(notice, Notice) and not notice.outcome and (record.owed_at or now) < notice.held_until <= now


class FakeTombstones:
    """A deleted record's time of death is `extra["deleted_at"]`."""

    def __init__(self, database: FakeDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def unpurged(self, limit: int, after: timedelta) -> list[str]:
        until = self._clock() - after
        found = [
            (deleted_at, record.conversion.id)
            for record in self._database.records.values()
            if isinstance(deleted_at := record.extra.get("deleted_at"), datetime)
            and deleted_at <= until
            and "purged_at" not in record.extra
        ]
        return [conversion_id for _, conversion_id in sorted(found)][:limit]

    def mark_purged(self, conversion_id: str) -> None:
        if conversion_id in self._database.records:
            self._database.records[conversion_id].extra["purged_at"] = self._clock()


class FakeAbandonedUploads:
    """Knows of uploads only when they expire or were deleted: `expires_at`, by their ids."""

    def __init__(self, database: FakeDatabase, clock: Clock) -> None:
        self.expires_at: dict[str, datetime] = {}
        self._database = database
        self._clock = clock

    def expired(self, limit: int, after: timedelta) -> list[Abandoned]:
        until = self._clock() - after
        found = sorted((at, upload_id) for upload_id, at in self.expires_at.items() if at <= until)
        live = {upload_id for upload_id, record in self._database.records.items() if not record.deleted}
        return [Abandoned(upload_id, upload_id in live) for _, upload_id in found[:limit]]

    def forget(self, upload_id: str) -> None:
        self.expires_at.pop(upload_id, None)


class FakeExpiredConversions:
    def __init__(self, database: FakeDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def delete(self, limit: int) -> list[str]:
        now = self._clock()
        found = sorted(
            (expires_at, record.conversion.id)
            for record in self._database.records.values()
            if not record.deleted and (expires_at := record.conversion.expires_at) and expires_at <= now
        )[:limit]
        for _, conversion_id in found:
            FakeConversions(self._database).delete(conversion_id, now)
        return [conversion_id for _, conversion_id in found]


class FakeLeftovers:
    """Those of `files` that are not `is_owned`. `stored_at` is by their ids; the others are always new."""

    def __init__(self, files: FakeFiles, clock: Clock, is_owned: Callable[[str], bool] = lambda _: False) -> None:
        self.stored_at: dict[str, datetime] = {}
        self._files = files
        self._clock = clock
        self._is_owned = is_owned
        self._after = ""

    def clear(self, look_at: int, left_for: timedelta) -> list[str]:
        now = self._clock()
        seen = sorted(each for each in self._files.contents if each > self._after)[:look_at]
        self._after = seen[-1] if len(seen) == look_at else ""
        left = [each for each in seen if not self._is_owned(each) and self.stored_at.get(each, now) <= now - left_for]
        for file_id in left:
            self._files.delete(file_id)
        return left


def owner_of_mp3s(database: FakeDatabase) -> Callable[[str], bool]:
    """Return whether a conversion names an MP3, or may name it yet."""

    def is_owned(file_id: str) -> bool:
        conversion_id, _, number = file_id.rpartition("-")
        record = database.records.get(conversion_id)
        if record is None or record.deleted:
            return False
        is_held = int(number) == record.fence and record.conversion.state is State.CONVERTING
        return record.mp3_file_id == file_id or is_held or int(number) > record.fence

    return is_owned
