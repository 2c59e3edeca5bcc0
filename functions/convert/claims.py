"""Claims: who may convert what, and for how long.

A worker claims a conversion under a lease and gets a fencing number, which grows with every claim. What it
writes later is taken only while it still holds that claim, so a worker that stalled and woke up after its
lease can change nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from functions.shared.conversions import Conversion, Failure, Mp3, Note, Video
from functions.shared.events import Event

# For so long a conversion is kept after its end, unless RETENTION_DAYS says otherwise.
RETENTION = timedelta(days=30)


class Claim(NamedTuple):
    """A held claim. `attempt` counts from 1; `fence` is the fencing number."""

    conversion: Conversion
    fence: int
    holder: str

    @property
    def attempt(self) -> int:
        """Which attempt at this conversion it is."""
        return self.conversion.attempts

    @property
    def mp3_file_id(self) -> str:
        """The id under which this claim stores its MP3. No other claim ever writes there."""
        return mp3_file_id(self.conversion.id, self.fence)


def mp3_file_id(conversion_id: str, fence: int) -> str:
    """Return the id of the MP3 that a claim of a conversion makes."""
    return f"{conversion_id}-{fence}"


class ClaimLost(Exception):
    """Raised when the claim is not held any more: the lease ended and another took it, or it was deleted."""


class Claims(Protocol):
    """The claims on conversions. Each method is one atomic write.

    Who ends a conversion also writes down until when it is kept: that is what its owner is told, so it does not change.
    """

    def claim(self, conversion_id: str, holder: str) -> Claim | None:
        """Claim a conversion: state converting, one attempt more, a new fencing number.

        Returns None if there is nothing to do: it has ended, was deleted, or another holds it.
        """

    def renew(self, claim: Claim, progress: float) -> None:
        """Begin the lease again and note the progress, from 0 to 1. Raises ClaimLost."""

    def complete(self, claim: Claim, mp3: Mp3, video: Video, warnings: Sequence[Note], completed: Event) -> None:
        """Commit the MP3 stored under the claim's file id, and the event: owed, and not told.

        `video` is what is known of the video now that it was read, and `warnings` are what its owner should know about
        the MP3. Raises ClaimLost.
        """

    def fail(self, claim: Claim, failure: Failure, failed: Event, video: Video, *, counts: bool = True) -> None:
        """End the conversion as failed, and note the event: owed, and not told; if not `counts`, the attempt was none.

        `video` is what is known of the video now. Raises ClaimLost.
        """

    def release(self, claim: Claim, owed: Sequence[Event], *, counts: bool) -> None:
        """Give the conversion back as queued; if not `counts`, the attempt was none. Raises ClaimLost."""
