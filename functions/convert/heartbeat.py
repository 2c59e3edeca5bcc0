"""The heartbeat of one conversion: renews the claim, tells the progress, and stops what must not go on."""

import time
from collections.abc import Callable

from aws_lambda_powertools import Logger

from functions.convert.claims import Claim, Claims
from functions.convert.failures import Interrupted, TookTooLong
from functions.shared.problems import Unavailable

_BEAT_S = 1.0


class Deadline:
    """When the host wants this invocation to have ended.

    `remaining_s` tells how many seconds the host still gives it. A host that is about to stop makes that
    shrink faster than time passes, so make this as early in the invocation as possible. Unless it `may_be_stopping`
    from the beginning, what it gives then is all that it ever gives, however little.
    """

    _CLEAN_UP_S = 5.0
    # A deadline that moved by more than this was moved by the host; less is the noise of its clock.
    _MOVED_S = 2.0
    # A host that gives less than this from the beginning is stopping already.
    _LEAST_S = 30.0
    # A function whose time is up is killed. By then an operation of the storage must have been given up, and the
    # failure written. Each takes 10 s at most.
    _GIVE_UP_S = 20.0
    # A function that has little time in all keeps most of it for its work.
    _GIVE_UP_SHARE = 0.1

    def __init__(self, remaining_s: Callable[[], float], *, may_be_stopping: bool = True) -> None:
        self._remaining_s = remaining_s
        given_s = remaining_s()
        self._stopping = may_be_stopping and given_s < self._LEAST_S
        self._first = time.monotonic() + given_s
        self._give_up_s = min(self._GIVE_UP_S, self._GIVE_UP_SHARE * given_s)

    def check(self) -> None:
        """Return while there is time.

        Raises:
            TookTooLong: the time that the host gave at the beginning is nearly up.
            Interrupted: time is nearly up because the host wants to stop earlier than it said.
        """
        left_s = self._remaining_s()
        if self._stopping or time.monotonic() + left_s < self._first - self._MOVED_S:
            if left_s < self._CLEAN_UP_S:
                raise Interrupted("The host is stopping.")
        elif left_s < self._give_up_s:
            raise TookTooLong


class Heartbeat:
    """Called often from whatever takes long, it does its work about once a second."""

    def __init__(self, claims: Claims, claim: Claim, lease_s: float, deadline: Deadline, logger: Logger) -> None:
        self._claims = claims
        self._claim = claim
        self._lease_s = lease_s
        self._deadline = deadline
        self._logger = logger
        self._progress = 0.0
        self._beat_at = self._renewed_at = time.monotonic()

    def beat(self, progress: float) -> None:
        """Renew the claim with this progress, from 0 to 1, if the last time is a second ago. It never goes back.

        Raises:
            ClaimLost: somebody else has the conversion now, or it was deleted.
            TookTooLong, Interrupted: see Deadline.
            Unavailable: the claim could not be renewed for as long as it lasts.
        """
        self._progress = max(self._progress, progress)
        now = time.monotonic()
        if now - self._beat_at < _BEAT_S:
            return
        self._beat_at = now
        self._deadline.check()
        try:
            self._claims.renew(self._claim, self._progress)
        except Unavailable as error:
            if now - self._renewed_at > self._lease_s:
                raise
            self._logger.warning("the claim could not be renewed", extra={"reason": repr(error.__cause__)})
        else:
            self._renewed_at = now
