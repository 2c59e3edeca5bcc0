"""Fakes of the ports in functions.shared."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from functions.shared.conversions import Conversion, ConversionMissing, Owner, State, Video
from functions.shared.events import Event, EventName, NotPublished
from functions.shared.files import CHUNK_BYTES, FileDamaged, FileMissing, StoredFile
from functions.shared.options import Options


class FakeClock:
    """Stands still until told otherwise."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Record:
    """What a conversion document holds beside the conversion. `lease_until` None means that nobody holds it.

    `untold` is the event of its end, as long as nobody was told, and `owed_at` when that was last owed. `queued_at` and
    `announced_at` are those of the document: see functions.shared.mongo.
    """

    conversion: Conversion
    owed: list[Event] = field(default_factory=list)
    fence: int = 0
    lease_until: datetime | None = None
    mp3_file_id: str | None = None
    untold: Event | None = None
    owed_at: datetime | None = None
    deleted: bool = False
    extra: dict[str, object] = field(default_factory=dict)
    queued_at: datetime = field(init=False)
    announced_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.queued_at = self.announced_at = self.conversion.updated_at


class FakeDatabase:
    """The records that the fakes of one test share, by conversion id."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def live(self, conversion_id: str) -> Record:
        record = self.records.get(conversion_id)
        if record is None or record.deleted:
            raise ConversionMissing(conversion_id)
        return record


class FakeConversions:
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def add(self, conversion: Conversion, owed: Sequence[Event]) -> None:
        self._database.records.setdefault(conversion.id, Record(conversion, list(owed)))

    def add_once(self, conversion: Conversion, owed: Sequence[Event], origin: str) -> str:
        if (there := self.added_for(origin)) is None:
            self._database.records.setdefault(conversion.id, Record(conversion, list(owed), extra={"origin": origin}))
        return there or conversion.id

    def added_for(self, origin: str) -> str | None:
        records = self._database.records.items()
        return next((conversion_id for conversion_id, each in records if each.extra.get("origin") == origin), None)

    def get(self, conversion_id: str) -> Conversion:
        return self._database.live(conversion_id).conversion

    def delete(self, conversion_id: str, now: datetime) -> None:
        record = self._database.live(conversion_id)
        is_running = record.conversion.state in {State.QUEUED, State.CONVERTING}
        record.conversion = replace(
            record.conversion,
            owner=Owner(id="", email=""),
            state=State.CANCELLED if is_running else record.conversion.state,
            filename="",
            options=Options(),
            video=Video(bytes=0, sha256=""),
            mp3=None,
            error=None,
            warnings=(),
            expires_at=None,
            updated_at=now,
        )
        record.deleted, record.lease_until, record.owed, record.untold = True, None, [], None
        record.extra = {"deleted_at": now}


class FakeOutbox:
    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    def owed(self, name: EventName, limit: int) -> list[Event]:
        records = sorted(self._database.records.values(), key=lambda record: record.conversion.updated_at)
        return [event for record in records for event in record.owed if event.event is name][:limit]

    def mark_published(self, event: Event) -> None:
        record = self._database.records.get(event.conversion_id)
        if record is not None:
            record.owed = [owed for owed in record.owed if owed.id != event.id]


class FakeEvents:
    """Keeps what was published; while `down` it takes nothing."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.down = False

    def publish(self, event: Event) -> None:
        if self.down:
            raise NotPublished("The broker is down.")
        self.published.append(event)


class FakeFiles:
    """Keeps files in memory. Change `contents` to damage one."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._stored: dict[str, bytes] = {}

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        self.delete(file_id)
        content = b"".join(parts)
        self.contents[file_id] = self._stored[file_id] = content
        return StoredFile(len(content), hashlib.sha256(content).hexdigest())

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if file_id not in self.contents:
            raise FileMissing(file_id)
        return self._read(file_id, start, end)

    def crc32s(self, file_ids: Sequence[str]) -> dict[str, int]:
        if missing := next((file_id for file_id in file_ids if file_id not in self.contents), None):
            raise FileMissing(missing)
        return {file_id: zlib.crc32(self._stored[file_id]) for file_id in file_ids}

    def delete(self, file_id: str) -> None:
        self.contents.pop(file_id, None)
        self._stored.pop(file_id, None)

    def ids(self, prefix: str) -> list[str]:
        return sorted(file_id for file_id in self.contents if file_id.startswith(prefix))

    def _read(self, file_id: str, start: int, end: int | None) -> Iterator[bytes]:
        content, stored = self.contents[file_id], self._stored[file_id]
        end = len(stored) if end is None else end
        position = start
        while position < end:
            skipped = position % CHUNK_BYTES
            chunk = slice(position - skipped, position - skipped + CHUNK_BYTES)
            part = content[chunk][skipped : skipped + end - position]
            if content[chunk] != stored[chunk] or not part:
                raise FileDamaged(file_id)
            position += len(part)
            yield part
