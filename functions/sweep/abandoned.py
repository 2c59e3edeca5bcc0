"""The port for uploads with which nobody goes on."""

from datetime import timedelta
from typing import NamedTuple, Protocol


class Abandoned(NamedTuple):
    """An upload that has expired or was deleted. If it `has_conversion`, its bytes are that one's video."""

    upload_id: str
    has_conversion: bool


class AbandonedUploads(Protocol):
    """Uploads of which no request knows any more. Time is the storage's own.

    Also those that became videos, and whose tale is told; those that were deleted, perhaps while somebody was still
    writing; and videos of forms, which came when no conversion was there yet.
    """

    def expired(self, limit: int, after: timedelta) -> list[Abandoned]:
        """Return up to `limit` uploads that expired or were deleted `after` ago or more, oldest first."""

    def forget(self, upload_id: str) -> None:
        """Keep nothing of an upload. Does nothing if there is none."""
