"""The port that remembers which events their people were told of, so that a repeat tells nobody twice."""

from enum import StrEnum
from typing import Protocol

from functions.shared.events import Event


class Outcome(StrEnum):
    """How the telling ended. An end is overtaken if its owner tried again before being told; download notes that."""

    SENT = "sent"
    UNDELIVERABLE = "undeliverable"
    OVERTAKEN = "overtaken"


class NoticeHeld(Exception):
    """Raised when somebody else is telling of the event right now, or died over it a moment ago."""


class Notices(Protocol):
    """What was told, by event. Each method is one atomic write."""

    def claim(self, event: Event) -> str | None:
        """Take it upon oneself to tell of an event, and return the claim, which ends by itself after a while.

        Returns None if there is nothing to do, since it was told already.

        Raises:
            NoticeHeld: another has claimed it.
            ConversionMissing: the event's conversion was deleted.
        """

    def settle(self, event: Event, outcome: Outcome) -> None:
        """Note how it ended, and that the event was told. From then on `claim` returns None.

        Does nothing if the conversion is gone.
        """

    def release(self, event: Event, claim: str) -> None:
        """Give a claim back, so that the event can be claimed again at once. Does nothing if it has ended."""
