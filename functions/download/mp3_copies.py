"""The port through which download lends out MP3s that are too large for an answer."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol


class Mp3Copies(Protocol):
    """Copies of MP3s at a place where clients fetch them by themselves. Each is kept for a day, and then goes.

    Every method raises Unavailable if that place does not answer.
    """

    def made_at(self, file_id: str) -> datetime | None:
        """Return when the copy of a file was made, or None if there is none."""

    def make(self, file_id: str, parts: Iterable[bytes]) -> None:
        """Copy a file. The copy appears whole, in the place of an older one; if `parts` raises, it does not appear."""

    def url(self, file_id: str, filename: str, ttl: timedelta) -> str:
        """Return a URL under which anybody can fetch the copy for so long, whole or in ranges. It saves as `filename`.

        A transfer that has begun by then goes on.
        """

    def delete(self, file_id: str) -> None:
        """Delete a copy. Does nothing if there is none."""
