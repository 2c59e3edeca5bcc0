"""The queues, declared again and again for as long as the triggers run."""

import threading
from collections.abc import Callable

from aws_lambda_powertools import Logger

PERIOD_S = 60


class Upkeep:
    """Declares the queues every `period_s`. What is there as it should be is left alone.

    RabbitMQ tells nobody that a queue was unbound: its consumer goes on to wait for messages that never come.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        declare: Callable[[str], None],
        stopping: threading.Event,
        logger: Logger,
        period_s: float = PERIOD_S,
    ) -> None:
        self._amqp_url = amqp_url
        self._declare = declare
        self._stopping = stopping
        self._logger = logger
        self._period_s = period_s

    def run(self) -> None:
        """Declare until `stopping` is set. The consumers are what declares first."""
        while not self._stopping.wait(self._period_s):
            try:
                self._declare(self._amqp_url)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next time may be better
                self._logger.warning("queues not declared", extra={"reason": str(error) or repr(error)})
