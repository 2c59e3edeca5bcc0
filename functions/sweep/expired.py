"""The port for conversions that have been kept as long as their owners were told."""

from typing import Protocol


class ExpiredConversions(Protocol):
    """Conversions by their `expires_at`. Time is the storage's own."""

    def delete(self, limit: int) -> list[str]:
        """Delete up to `limit` that have expired, longest ago first, and return their ids.

        Each is deleted as by its owner, and its files are the tombstone's. One that is tried again meanwhile stays.
        """
