"""Claims that are counted, with how each ended."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from functions.convert.claims import Claim, ClaimLost, Claims
from functions.shared.conversions import Failure, Mp3, Note, Video
from functions.shared.events import Event
from functions.shared.metrics import (
    ATTEMPTS_RELEASED,
    CLAIMS_LOST,
    CONVERSION_ATTEMPTS,
    CONVERSION_SECONDS,
    CONVERSION_SPEED,
    CONVERSIONS_COMPLETED,
    CONVERSIONS_FAILED,
    MP3_BYTES,
    Metrics,
)


class CountedClaims:
    """Claims by other Claims, and counts what was committed. Implements Claims. A thread holds one claim at a time."""

    def __init__(self, claims: Claims, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._claims = claims
        self._metrics = metrics
        self._monotonic = monotonic
        self._local = threading.local()

    def claim(self, conversion_id: str, holder: str) -> Claim | None:
        """See Claims."""
        claim = self._claims.claim(conversion_id, holder)
        self._local.begun = self._monotonic()
        return claim

    def renew(self, claim: Claim, progress: float) -> None:
        """See Claims."""
        with self._counting_lost():
            self._claims.renew(claim, progress)

    def complete(self, claim: Claim, mp3: Mp3, video: Video, warnings: Sequence[Note], completed: Event) -> None:
        """See Claims."""
        with self._counting_lost():
            self._claims.complete(claim, mp3, video, warnings, completed)
        took_s = self._monotonic() - self._local.begun
        self._metrics.count(CONVERSIONS_COMPLETED)
        self._metrics.observe(CONVERSION_ATTEMPTS, claim.attempt)
        self._metrics.observe(CONVERSION_SECONDS, took_s)
        self._metrics.observe(CONVERSION_SPEED, mp3.duration_s / max(took_s, 0.001))
        self._metrics.observe(MP3_BYTES, mp3.bytes)

    def fail(self, claim: Claim, failure: Failure, failed: Event, video: Video, *, counts: bool = True) -> None:
        """See Claims."""
        with self._counting_lost():
            self._claims.fail(claim, failure, failed, video, counts=counts)
        self._metrics.count(CONVERSIONS_FAILED, failure=failure.type)
        self._metrics.observe(CONVERSION_ATTEMPTS, claim.attempt if counts else claim.attempt - 1)

    def release(self, claim: Claim, owed: Sequence[Event], *, counts: bool) -> None:
        """See Claims."""
        with self._counting_lost():
            self._claims.release(claim, owed, counts=counts)
        self._metrics.count(ATTEMPTS_RELEASED, reason="failed" if counts else "stopping")

    @contextmanager
    def _counting_lost(self) -> Iterator[None]:
        try:
            yield
        except ClaimLost:
            self._metrics.count(CLAIMS_LOST)
            raise
