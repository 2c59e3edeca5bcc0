"""The calls that are under way in this process, so that they can be asked to hurry when it ends."""

import threading
from typing import Any

from infra.invoke import Context, FunctionFailed, InProcessFunctions


class Invocations:
    """Functions of this process, whose contexts can be shortened all at once. Implements Functions."""

    def __init__(self, functions: InProcessFunctions) -> None:
        self._functions = functions
        self._lock = threading.Lock()
        self._running: set[Context] = set()
        self._stopping = False

    def invoke(self, function_name: str, event: Any) -> Any:
        """See Functions. Once `shorten` was called, nothing new is begun: that fails as a function does."""
        context = self._functions.context(function_name)
        with self._lock:
            if self._stopping:
                raise FunctionFailed(function_name, "Stopping", "this process is ending")
            self._running.add(context)
        try:
            return self._functions.invoke(function_name, event, context)
        finally:
            with self._lock:
                self._running.discard(context)

    def shorten(self, seconds: float) -> None:
        """Leave every call that is under way at most `seconds` from now, and begin none any more."""
        with self._lock:
            self._stopping = True
            for context in self._running:
                context.shorten(seconds)
