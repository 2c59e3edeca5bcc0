"""The port that remembers requests by the key that their client gave them, so that a repeat creates nothing new.

A request that creates something is claimed under its key for as long as it is being answered, and its answer is kept.
Whoever died over one leaves a claim that ends by itself. A repeat then goes on with the same `origin`, by which what
the first may have created is found again: see Conversions.add_once and create_upload.
"""

from datetime import timedelta
from typing import NamedTuple, Protocol

import msgspec

# From its first request on, a key is remembered for so long.
REMEMBERED = timedelta(hours=24)
# For so long a request that is not answered yet keeps repeats away. A function behind API Gateway has 29 s.
LEASE = timedelta(minutes=1)


class KeptAnswer(msgspec.Struct, frozen=True):
    """What a request was answered."""

    status: int
    headers: dict[str, str]
    body: str


class KeyClaim(NamedTuple):
    """A request under a key: `token` names who answers it, `origin` is the same for every try."""

    key: str
    token: str
    origin: str


class Begun(NamedTuple):
    """A request that was claimed: `answer` is None if it is to be answered now."""

    claim: KeyClaim
    answer: KeptAnswer | None


class KeyTaken(Exception):
    """Raised when a key was given to another request."""


class KeyHeld(Exception):
    """Raised when the request with this key is being answered, or its answer was lost a moment ago."""


class IdempotencyKeys(Protocol):
    """Requests by their keys, each for REMEMBERED. Each method is one atomic write. Time is the storage's own."""

    def claim(self, claim: KeyClaim, fingerprint: str) -> Begun:
        """Claim a request for LEASE, or find its answer. What is returned has the `origin` of the first try.

        It can be claimed again by the same token, and by anybody once the claim was released or has ended.

        Raises:
            KeyTaken: the key was first given to a request with another fingerprint.
            KeyHeld: somebody else is answering it.
        """

    def keep(self, claim: KeyClaim, answer: KeptAnswer) -> None:
        """Keep the answer for every repeat. Does nothing if the claim is not held any more."""

    def release(self, claim: KeyClaim) -> None:
        """End a claim without an answer: something may have been created. Does nothing if it is not held any more."""

    def forget(self, claim: KeyClaim) -> None:
        """Free the key, since nothing came of the request, or nothing is left of what it created.

        Does nothing if somebody else has claimed it since.
        """
