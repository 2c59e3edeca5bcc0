"""The port that finds conversions which should be moving and are not, or of whose end nobody was told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from functions.shared.events import Event

# The longest pause between two announcements of a conversion, as a multiple of the first.
LONGEST_PAUSES = 16

# Makes the event by which the conversion of this id is announced anew.
Announce = Callable[[str], Event]


class StalledConversions(Protocol):
    """Conversions that nobody looks after: they wait for a worker that does not come, or their owners for an e-mail.

    Time is the storage's own, so that no two machines' clocks are compared.

    What happens to one of them, and the event it then owes, are one atomic write. Several may sweep at once.
    """

    def reclaim(self, limit: int, announce: Announce) -> list[Event]:
        """Queue up to `limit` conversions again whose lease has ended: their workers died.

        The fence rises, so that a worker that is alive after all cannot commit. `attempts` stays, since convert
        counts. Returns the events owed.
        """

    def reannounce(self, limit: int, announce: Announce, after: timedelta) -> list[Event]:
        """Announce up to `limit` queued conversions again that owe nothing and whose messages seem to be lost.

        A message seems to be lost if the queue has passed it: a conversion that began to wait after it was announced
        has been worked on. While nobody has worked for `after`, all seem to be lost. But a conversion waits for `after`
        before it is announced again, then for as long again as it has waited by then, and for LONGEST_PAUSES times
        `after` at most. A second message does no harm. Returns the events owed.
        """

    def renotify(self, limit: int, after: timedelta, within: timedelta) -> list[Event]:
        """Owe the events of up to `limit` conversions again that ended and whose owners were not told, oldest first.

        They owe nothing, and ended `within` ago or less. Their events were last owed `after` ago or more, or somebody
        has claimed since then to tell of them, and died: the claim has ended, and says nothing of how it went. An
        event stays the same, so whoever was told in the meantime is not told twice. Returns the events owed.
        """
