"""What the processes that serve HTTP with uvicorn have in common: how they end, and what their libraries log."""

import logging
import signal
from types import FrameType

from aws_lambda_powertools import Logger


def end_well_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process with success.

    uvicorn catches them while it serves, and sends itself the signal again once it has drained.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)


def log_libraries(logger: Logger) -> None:
    """Log what uvicorn says as `logger` does, and nothing of pika: whoever lost a connection reports it."""
    logging.getLogger("uvicorn").addHandler(logger.registered_handler)
    logging.getLogger("uvicorn").setLevel(logging.INFO)
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
