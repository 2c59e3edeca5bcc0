"""Fakes of the ports in functions.download."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from functions.download.library import Entry, NotFailedState, Position
from functions.shared.conversions import Conversion, Owner, State, Video
from functions.shared.events import Event
from tests.fakes.shared import FakeDatabase


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

    def get(self, conversion_id: str) -> Entry:
        record = self._database.live(conversion_id)
        return Entry(record.conversion, record.mp3_file_id)

    def delete(self, conversion_id: str, now: datetime) -> None:
        record = self._database.live(conversion_id)
        is_running = record.conversion.state in {State.QUEUED, State.CONVERTING}
        record.conversion = replace(
            record.conversion,
            owner=Owner(id="", email=""),
            state=State.CANCELLED if is_running else record.conversion.state,
            filename="",
            video=Video(bytes=0, sha256=""),
            mp3=None,
            error=None,
            updated_at=now,
        )
        record.deleted, record.lease_until, record.owed, record.untold = True, None, [], None
        record.extra = {"deleted_at": now}

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
            updated_at=now,
        )
        record.lease_until = record.untold = None
        record.owed += owed
        return record.conversion


def _position(conversion: Conversion) -> Position:
    return Position(conversion.created_at, conversion.id)
