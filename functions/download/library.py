"""The port through which download sees conversions."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from functions.shared.conversions import Conversion, State
from functions.shared.events import Event


class Entry(NamedTuple):
    """A conversion, and the id of its MP3 in the bucket `mp3s` once it is completed."""

    conversion: Conversion
    mp3_file_id: str | None


class Position(NamedTuple):
    """Where a conversion stands in a list, newest first; the id decides between two of the same moment."""

    created_at: datetime
    conversion_id: str


class NotFailedState(Exception):
    """Raised when a conversion that has not failed is to be tried again."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state


class Library(Protocol):
    """The conversions that are not deleted. Each method is one atomic write or one read."""

    def newest(self, owner_id: str, state: State | None, limit: int, after: Position | None) -> list[Conversion]:
        """Return up to `limit` conversions of a person, newest first: those after a position, those in a state."""

    def find(self, conversion_ids: Sequence[str]) -> list[Entry]:
        """Return those of the conversions that exist, regardless of their owner, in any order."""

    def get(self, conversion_id: str) -> Entry:
        """Return a conversion. Raises ConversionMissing."""

    def delete(self, conversion_id: str, now: datetime) -> None:
        """Take a conversion out of the library for ever, as Conversions.delete does. Raises ConversionMissing."""

    def retry(self, conversion_id: str, owed: Sequence[Event], now: datetime) -> Conversion:
        """Put a failed conversion back to its beginning, together with the events it then owes.

        Nobody is told any more that it failed, if nobody was: its event is not owed any more, and counts as told.

        Raises:
            ConversionMissing: there is none.
            NotFailedState: it is not failed.
        """
