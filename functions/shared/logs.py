"""Logs: one JSON object a line, or plain lines where a person reads them (LOG_FORMAT=text).

Every line of one invocation carries its request_id; lines about a conversion carry its conversion_id.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from functions.shared.settings import InvalidSettings
from functions.shared.text import escaped

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

# What a line of text has in another place, or not at all: the traceback says the exception's name, notes and stack
# again, and color_message is uvicorn's message again, with colours.
_LEFT_OUT = frozenset(
    {
        "level",
        "location",
        "message",
        "timestamp",
        "service",
        "exception",
        "exception_name",
        "exception_notes",
        "stack_trace",
        "color_message",
    }
)

# Libraries add names of their own to those that Python has.
_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "NOTSET")


class TextFormatter(LambdaPowertoolsFormatter):
    """Write `12:30:01 INFO upload: accepted conversion_id=…`, then the traceback if there is one.

    What does not print is written as an escape, so that no value can add a line or command a terminal. The
    traceback is as Python writes it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and more only for a traceback."""
        entry: dict[str, Any] = json.loads(super().format(record))
        extras = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _LEFT_OUT)
        time = self.formatTime(record, "%H:%M:%S")
        line = f"{time} {record.levelname:<7} {entry.get('service')}: {entry.get('message')} {extras}"
        line = escaped(line.rstrip())
        return f"{line}\n{entry['exception']}" if entry.get("exception") else line


def get_logger(service: str) -> Logger:
    """Return the logger of a function or process, which writes to standard output.

    LOG_LEVEL is its level (default INFO); LOG_FORMAT is `json` (default) or `text`. Raises InvalidSettings.
    """
    level = os.environ.get("LOG_LEVEL") or "INFO"
    if level.upper() not in _LEVELS:
        raise InvalidSettings(
            "The environment variable LOG_LEVEL cannot be used: it is DEBUG, INFO, WARNING, ERROR or CRITICAL."
        )
    formatter = TextFormatter(utc=False) if os.environ.get("LOG_FORMAT") == "text" else None
    return Logger(service=service, level=level, logger_formatter=formatter, utc=True)


def conversion_keys(parameters: Mapping[str, str] | None) -> dict[str, str]:
    """Return the keys of lines about the conversion that the parameters of a path name, if they name one.

    An upload has the id of the conversion that it becomes. What was sent in place of an id is not logged.
    """
    parameters = parameters or {}
    conversion_id = parameters.get("conversion_id") or parameters.get("upload_id") or ""
    return {"conversion_id": conversion_id} if _ID.fullmatch(conversion_id) else {}


@contextmanager
def log_keys(logger: Logger, **keys: str) -> Iterator[None]:
    """Add keys to every line that this thread logs inside the block."""
    logger.thread_safe_append_keys(**keys)
    try:
        yield
    finally:
        logger.thread_safe_remove_keys(keys)
