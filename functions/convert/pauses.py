"""How long a conversion waits for its next attempt."""

import random
from collections.abc import Callable
from datetime import timedelta

from functions.shared.events import LONGEST_PAUSE


class Pauses:
    """Pauses that grow fourfold with each attempt, to LONGEST_PAUSE at most.

    Each is cut by up to a half, so that those that failed together are not all tried again at once. Threads may share
    one.
    """

    def __init__(self, *, first_s: float, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._first_s = first_s
        self._uniform = uniform

    def after(self, attempt: int) -> timedelta:
        """Return the pause after a failed attempt, the first of which is 1, in whole milliseconds."""
        # No power of the number of attempts becomes too large for a float.
        longest_s = min(self._first_s * 4.0 ** min(attempt - 1, 10), LONGEST_PAUSE.total_seconds())
        return timedelta(milliseconds=round(1000 * longest_s * self._uniform(0.5, 1)))
