"""The heartbeat of one conversion: renews the claim, tells the progress, and stops what must not go on."""

import time
from collections.abc import Callable

from aws_lambda_powertools import Logger

from functions.convert.claims import Claim, Claims
from functions.convert.failures import Interrupted, TookTooLong
from functions.shared.problems import Unavailable

_BEAT_S = 1.0
_CLEAN_UP_S = 5.0
# A deadline that moved by more than this was moved by the host; less is the noise of its clock.
_MOVED_S = 2.0

RemainingS = Callable[[], float]


class Heartbeat:
    """Called often from whatever takes long, it does its work about once a second.

    `remaining_s` tells how many seconds the host still gives this invocation. A host that is about to stop
    makes that shrink faster than time passes.
    """

    def __init__(self, claims: Claims, claim: Claim, lease_s: float, remaining_s: RemainingS, logger: Logger) -> None:
        self._claims = claims
        self._claim = claim
        self._lease_s = lease_s
        self._remaining_s = remaining_s
        self._logger = logger
        self._deadline = time.monotonic() + remaining_s()
        self._beat_at = self._renewed_at = time.monotonic()

    def beat(self, progress: float) -> None:
        """Renew the claim with this progress, from 0 to 1, if the last time is a second ago.

        Raises:
            ClaimLost: somebody else has the conversion now, or it was deleted.
            TookTooLong: the time that the host gave at the beginning is nearly up.
            Interrupted: the host wants to stop earlier than it said.
            Unavailable: the claim could not be renewed for as long as it lasts.
        """
        now = time.monotonic()
        if now - self._beat_at < _BEAT_S:
            return
        self._beat_at = now
        self._check_deadline(now)
        try:
            self._claims.renew(self._claim, progress)
        except Unavailable as error:
            if now - self._renewed_at > self._lease_s:
                raise
            self._logger.warning("the claim could not be renewed", extra={"reason": repr(error.__cause__)})
        else:
            self._renewed_at = now

    def _check_deadline(self, now: float) -> None:
        deadline = now + self._remaining_s()
        if deadline < self._deadline - _MOVED_S:
            raise Interrupted("The host is stopping.")
        if deadline - now < _CLEAN_UP_S:
            raise TookTooLong
