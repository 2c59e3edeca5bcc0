"""The calls that are under way in this process, so that they can be asked to hurry when it ends."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from infra.invoke import Context, FunctionUnavailable, InProcessFunctions


class Invocations:
    """Functions of this process, whose contexts can be shortened all at once. Implements Functions."""

    def __init__(self, functions: InProcessFunctions) -> None:
        self._functions = functions
        self._lock = threading.Lock()
        self._running: set[Context] = set()
        self._stopping = False

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    @property
    def overdue(self) -> int:
        """How many of them have no time left."""
        with self._lock:
            return sum(not context.get_remaining_time_in_millis() for context in self._running)

    def invoke(self, function_name: str, event: Any) -> Any:
        """See Functions. Once `shorten` was called, nothing new is begun: every function is unavailable."""
        with self.begun(function_name) as context:
            return self._functions.invoke(function_name, event, context)

    @contextlib.contextmanager
    def begun(self, function_name: str) -> Iterator[Context]:
        """Yield the context of a call that is under way inside the block. Raises FunctionUnavailable as `invoke`."""
        context = self._functions.context(function_name)
        with self._lock:
            if self._stopping:
                raise FunctionUnavailable("This process is ending.")
            self._running.add(context)
        try:
            yield context
        finally:
            with self._lock:
                self._running.discard(context)

    def shorten(self, seconds: float) -> None:
        """Leave every call that is under way at most `seconds` from now, and begin none any more."""
        with self._lock:
            self._stopping = True
            for context in self._running:
                context.shorten(seconds)
