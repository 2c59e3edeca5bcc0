"""A schedule that calls a function, as an EventBridge rule does."""

import threading
import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger

from functions.shared.clock import Clock
from functions.shared.metrics import CALL_SECONDS, CALLS, CALLS_UNDER_WAY, NO_METRICS, Metrics
from infra.invoke import ACCOUNT, REGION, Functions
from infra.template import ScheduleTrigger


class Schedule:
    """Calls a function every period, one call at a time: a call that lasts longer puts off the next.

    What the function raises is logged, and the next call comes at its time.
    """

    def __init__(
        self,
        trigger: ScheduleTrigger,
        functions: Functions,
        *,
        stopping: threading.Event,
        logger: Logger,
        clock: Clock,
        new_id: Callable[[], str],
        first_after_s: float = 3,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self.name = f"{trigger.function} every {trigger.period_s} s"
        self._trigger = trigger
        self._functions = functions
        self._stopping = stopping
        self._logger = logger
        self._clock = clock
        self._new_id = new_id
        self._first_after_s = first_after_s
        self._metrics = metrics

    def run(self) -> None:
        """Call the function again and again, until `stopping` is set."""
        due = time.monotonic() + self._first_after_s
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._trigger.period_s
            self._call()

    def _call(self) -> None:
        function = self._trigger.function
        started = time.monotonic()
        outcome = "failed"
        self._metrics.add(CALLS_UNDER_WAY, 1, function=function)
        try:
            self._functions.invoke(function, self._event())
        except Exception:
            self._logger.exception("scheduled call failed", extra={"function": function, "ms": _ms_since(started)})
        else:
            outcome = "done"
            self._logger.debug("scheduled call done", extra={"function": function, "ms": _ms_since(started)})
        self._metrics.add(CALLS_UNDER_WAY, -1, function=function)
        self._metrics.count(CALLS, function=function, outcome=outcome)
        self._metrics.observe(CALL_SECONDS, time.monotonic() - started, function=function)

    def _event(self) -> dict[str, Any]:
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
        return {
            "version": "0",
            "id": self._new_id(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": f"{self._clock():%Y-%m-%dT%H:%M:%SZ}",
            "region": REGION,
            "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{self._trigger.function}"],
            "detail": {},
        }


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
