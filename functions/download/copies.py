"""The port through which download lends out what is too large for an answer: MP3s, and ZIPs of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol


class Copies(Protocol):
    """Copies of files at a place where clients fetch them by themselves. Each is kept for a day, and then goes.

    Every method raises Unavailable if that place does not answer.
    """

    def made_at(self, name: str) -> datetime | None:
        """Return when the copy under a name was made, or None if there is none."""

    def make(self, name: str, content_type: str, parts: Iterable[bytes]) -> None:
        """Copy a file. The copy appears whole, in the place of an older one; if `parts` raises, it does not appear."""

    def url(self, name: str, filename: str, ttl: timedelta) -> str:
        """Return a URL under which anybody can fetch the copy for so long, whole or in ranges. It saves as `filename`.

        A transfer that has begun by then goes on.
        """

    def delete(self, name: str) -> None:
        """Delete a copy. Does nothing if there is none."""
