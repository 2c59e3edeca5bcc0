"""All triggers of a template, running in threads of this process until they are stopped."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping

from aws_lambda_powertools import Logger

from functions.shared.clock import Clock
from functions.shared.metrics import NO_METRICS, Metrics
from infra.invoke import Functions
from infra.rabbitmq.topology import declare
from infra.template import Template
from infra.triggers.consumer import Consumer
from infra.triggers.schedule import Schedule
from infra.triggers.upkeep import Upkeep


class Bridge:
    """Consumers of every queue that a function waits for, and the schedules."""

    def __init__(
        self,
        template: Template,
        functions: Functions,
        amqp_url: str,
        *,
        workers: Mapping[str, int],
        logger: Logger,
        clock: Clock,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        metrics: Metrics = NO_METRICS,
    ) -> None:
        """Make it. `workers` says by queue how many messages are worked on at once; others get one."""
        self._logger = logger
        self._stopping = threading.Event()
        consumers = [
            Consumer(
                f"{trigger.function} {number}",
                trigger,
                functions,
                amqp_url,
                declare=declare,
                stopping=self._stopping,
                logger=logger,
                metrics=metrics,
            )
            for trigger in template.queue_triggers
            for number in range(1, workers.get(trigger.queue, 1) + 1)
        ]
        schedules = [
            Schedule(
                trigger,
                functions,
                stopping=self._stopping,
                logger=logger,
                clock=clock,
                new_id=new_id,
                metrics=metrics,
            )
            for trigger in template.schedule_triggers
        ]
        # Daemons, because a call that does not end must not keep the process from ending.
        parts: list[Consumer | Schedule] = [*consumers, *schedules]
        self._threads = [threading.Thread(target=part.run, name=part.name, daemon=True) for part in parts]
        upkeep = Upkeep(amqp_url, declare=declare, stopping=self._stopping, logger=logger)
        self._upkeep = threading.Thread(target=upkeep.run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin to consume and to call. Does not wait for the broker."""
        for thread in (*self._threads, self._upkeep):
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Take no more messages, and wait for the calls under way. Returns whether they ended within `timeout_s`."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            self._logger.error("still running, their messages go back to the queue", extra={"consumers": left})
        return not left
