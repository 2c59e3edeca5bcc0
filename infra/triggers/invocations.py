"""The calls that are under way in this process, so that they can be asked to hurry when it ends."""

import threading
from typing import Any

from infra.invoke import Context, InProcessFunctions


class Invocations:
    """Functions of this process, whose contexts can be shortened all at once. Implements Functions."""

    def __init__(self, functions: InProcessFunctions) -> None:
        self._functions = functions
        self._lock = threading.Lock()
        self._running: set[Context] = set()
        self._at_most_s: float | None = None

    def invoke(self, function_name: str, event: Any) -> Any:
        """See Functions."""
        context = self._functions.context(function_name)
        with self._lock:
            self._running.add(context)
            if self._at_most_s is not None:
                context.shorten(self._at_most_s)
        try:
            return self._functions.invoke(function_name, event, context)
        finally:
            with self._lock:
                self._running.discard(context)

    def shorten(self, seconds: float) -> None:
        """Leave every call at most `seconds`: those under way from now, those to come from their start."""
        with self._lock:
            self._at_most_s = seconds
            for context in self._running:
                context.shorten(seconds)
