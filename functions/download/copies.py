"""The port through which download offers files that are too large for an answer: MP3s, and ZIPs of them."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

# Returns the bytes of a file from a position on, in parts of any size.
ReadFrom = Callable[[int], Iterable[bytes]]


class Copies(Protocol):
    """Copies of files at a place where clients fetch them directly. Each is kept for a day, and then deleted.

    Every method raises Unavailable if that place does not answer.
    """

    def made_at(self, name: str) -> datetime | None:
        """Return when the copy under a name was made, or None if there is none."""

    def make(self, name: str, content_type: str, read_from: ReadFrom, has_time: Callable[[], bool]) -> bool:
        """Copy a file and return True, or copy some of it, while there is time, and return False.

        The next call for the same name, which always means the same bytes, goes on from there. The copy appears all at
        once, in place of any older one. If `read_from` raises anything but Unavailable, what was copied is dropped.
        """

    def url(self, name: str, filename: str, ttl: timedelta) -> str:
        """Return a URL at which anybody can fetch the copy for `ttl`, whole or in ranges. It is saved as `filename`.

        A transfer that is under way when `ttl` ends goes on.
        """

    def delete(self, name: str) -> None:
        """Delete a copy, whole or not. Does nothing if there is none."""
