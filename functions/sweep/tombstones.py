"""The port for what deleted conversions leave behind."""

from datetime import timedelta
from typing import Protocol


class Tombstones(Protocol):
    """Conversions that were deleted. Whoever deletes one deletes its files right after, if nothing comes between.

    Each is looked after once more, and is then purged.
    """

    def unpurged(self, limit: int, after: timedelta) -> list[str]:
        """Return the ids of up to `limit` that were deleted `after` ago or more and may still have files."""

    def mark_purged(self, conversion_id: str) -> None:
        """Note that no file is left."""
