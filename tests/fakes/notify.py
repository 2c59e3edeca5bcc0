"""Fakes of the ports in functions.notify."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage

from functions.notify.mailers import recipient
from functions.notify.notices import NoticeHeld, Outcome
from functions.shared.clock import Clock
from functions.shared.events import Event
from tests.fakes.shared import FakeDatabase


@dataclass
class Notice:
    claim: str
    held_until: datetime
    outcome: Outcome | None = None


class FakeNotices:
    """Keeps a notice in its record, as `extra["notice <event id>"]`."""

    def __init__(self, database: FakeDatabase, lease: timedelta, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._new_id = new_id
        self._lock = threading.Lock()

    def claim(self, event: Event) -> str | None:
        record = self._database.live(event.conversion_id)
        with self._lock:
            notice = self._notice(event)
            if notice and notice.outcome:
                return None
            if notice and notice.held_until > self._clock():
                raise NoticeHeld(event.id)
            claim = self._new_id()
            record.extra[notice_key(event)] = Notice(claim, self._clock() + self._lease)
            return claim

    def settle(self, event: Event, outcome: Outcome) -> None:
        notice = self._notice(event)
        if notice:
            notice.outcome = outcome
            record = self._database.records[event.conversion_id]
            if record.untold and record.untold.id == event.id:
                record.untold = None

    def release(self, event: Event, claim: str) -> None:
        notice = self._notice(event)
        if notice and notice.claim == claim and not notice.outcome:
            del self._database.records[event.conversion_id].extra[notice_key(event)]

    def _notice(self, event: Event) -> Notice | None:
        record = self._database.records.get(event.conversion_id)
        notice = record.extra.get(notice_key(event)) if record else None
        return notice if isinstance(notice, Notice) else None


class FakeMailers:
    """Keeps what was sent; while `error` is set it raises that instead."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.error: Exception | None = None

    def send(self, letter: EmailMessage) -> None:
        if self.error:
            raise self.error
        recipient(letter)
        self.sent.append(letter)


def notice_key(event: Event) -> str:
    return f"notice {event.id}"
