"""How long to wait before the next attempt."""

import random
from collections.abc import Callable


class Backoff:
    """Pauses that double from `first_s` up to `longest_s`, each cut by up to a half so that many do not keep in step.

    Not safe to share between threads.
    """

    def __init__(
        self, *, first_s: float, longest_s: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._uniform = uniform
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the pause before the next attempt, in seconds."""
        pause = self._next_s
        self._next_s = min(pause * 2, self._longest_s)
        return pause * self._uniform(0.5, 1)

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._next_s = self._first_s
