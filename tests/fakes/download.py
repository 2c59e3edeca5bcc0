"""Fakes of the ports in functions.download."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

from msgspec.structs import replace

from functions.download.copies import ReadFrom
from functions.download.library import Entry, NotFailedState, Position
from functions.notify.notices import Outcome
from functions.shared.clock import Clock
from functions.shared.conversions import Conversion, State
from functions.shared.events import Event
from functions.shared.problems import Unavailable
from tests.fakes.notify import Notice, notice_key
from tests.fakes.shared import FakeConversions, FakeDatabase


class FakeLibrary:
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def newest(self, owner_id: str, state: State | None, limit: int, after: Position | None) -> list[Conversion]:
        found = [
            record.conversion
            for record in self._database.records.values()
            if not record.deleted
            and record.conversion.owner.id == owner_id
            and state in {None, record.conversion.state}
            and (after is None or _position(record.conversion) < after)
        ]
        return sorted(found, key=_position, reverse=True)[:limit]

    def find(self, conversion_ids: Sequence[str]) -> list[Entry]:
        records = [self._database.records[each] for each in {*conversion_ids} & self._database.records.keys()]
        return [Entry(record.conversion, record.mp3_file_id) for record in records if not record.deleted]

    def get(self, conversion_id: str) -> Entry:
        record = self._database.live(conversion_id)
        return Entry(record.conversion, record.mp3_file_id)

    def delete(self, conversion_id: str, now: datetime) -> None:
        FakeConversions(self._database).delete(conversion_id, now)

    def retry(self, conversion_id: str, owed: Sequence[Event], now: datetime) -> Conversion:
        record = self._database.live(conversion_id)
        if record.conversion.state is not State.FAILED:
            raise NotFailedState(record.conversion.state)
        record.conversion = replace(
            record.conversion,
            state=State.QUEUED,
            progress=0.0,
            error=None,
            attempts=0,
            completed_at=None,
            expires_at=None,
            updated_at=now,
        )
        if record.untold:
            record.owed = [event for event in record.owed if event != record.untold]
            record.extra[notice_key(record.untold)] = Notice("", now, Outcome.OVERTAKEN)
        record.queued_at = record.announced_at = now
        record.lease_until = record.untold = None
        record.owed += owed
        return record.conversion


def _position(conversion: Conversion) -> Position:
    return Position(conversion.created_at, conversion.id)


class FakeCopies:
    """Keeps copies in memory. `makings` counts how often one was made; set `down` to be unavailable.

    It looks at the time before each part that it is given.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made_at: dict[str, datetime] = {}
        self._begun: dict[str, bytes] = {}
        self.contents: dict[str, bytes] = {}
        self.makings = 0
        self.down = False

    def made_at(self, name: str) -> datetime | None:
        self._answer()
        return self._made_at.get(name)

    def make(self, name: str, content_type: str, read_from: ReadFrom, has_time: Callable[[], bool]) -> bool:
        self._answer()
        content = self._begun.pop(name, b"")
        parts = iter(read_from(len(content)))
        try:
            while has_time():
                if (part := next(parts, None)) is None:
                    self.contents[name] = content
                    self._made_at[name] = self._clock()
                    self.makings += 1
                    return True
                content += part
        except Unavailable:
            self._begun[name] = content
            raise
        self._begun[name] = content
        return False

    def url(self, name: str, filename: str, ttl: timedelta) -> str:
        query = urlencode({"saves-as": filename, "until": (self._clock() + ttl).isoformat()})
        return f"https://copies.example/{name}?{query}"

    def delete(self, name: str) -> None:
        self._answer()
        self._begun.pop(name, None)
        self.contents.pop(name, None)
        self._made_at.pop(name, None)

    def fetch(self, url: str) -> tuple[bytes, str]:
        """Return what is at a URL, and the name that it saves as."""
        parts = urlsplit(url)
        return self.contents[parts.path.removeprefix("/")], parse_qs(parts.query)["saves-as"][0]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The storage for downloads")
