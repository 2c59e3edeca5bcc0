"""Calls of the functions of this process, as Lambda makes and reports them."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from aws_lambda_powertools import Logger

from functions.shared.logs import conversion_keys
from functions.shared.metrics import CALL_SECONDS, CALLS, CALLS_UNDER_WAY, NO_METRICS, Metrics
from infra.host.documents import (
    ending,
    event_unreadable,
    failure,
    no_such_function,
    response_too_large,
)
from infra.invocations import Invocations
from infra.invoke import AnswerTooLarge, Context, FunctionFailed, FunctionUnavailable, InProcessFunctions
from infra.template import Function

# So an authorizer tells API Gateway that nobody is logged in. It is no error.
_UNAUTHORIZED = "Unauthorized"


class Answer(NamedTuple):
    """What came of a call: JSON, which is the function's answer or, if it `failed`, says how."""

    request_id: str
    content: bytes
    failed: bool


class Calls:
    """Calls of functions, in any number of threads at once."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        prefix: str,
        new_id: Callable[[], str],
        logger: Logger,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        """Make it. Callers may begin the names of functions with `prefix`."""
        self._names = {each: name for name in functions for each in (name, f"{prefix}{name}")}
        self._functions = InProcessFunctions(functions, new_id)
        self._invocations = Invocations(self._functions)
        self._logger = logger
        self._metrics = metrics

    @property
    def running(self) -> int:
        """How many functions are running."""
        return self._invocations.running

    @property
    def overdue(self) -> int:
        """How many of them should have ended. Nothing can end them."""
        return self._invocations.overdue

    def named(self, name: str) -> str:
        """Return the function that a caller means, by its name or by its ARN. Raises Refused."""
        # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestSyntax
        short = name.rpartition(":function:")[2].partition(":")[0]
        if short not in self._names:
            raise no_such_function(name)
        return self._names[short]

    def run(self, function: str, event: list[bytes]) -> Answer:
        """Call a function with an event as `read_event` takes it. Raises Refused."""
        return self.begin(function)(event)

    def begin(self, function: str) -> Callable[[list[bytes]], Answer]:
        """Begin a call, and return what makes it, once. It is under way from now on. Both raise Refused."""
        begun = contextlib.ExitStack()
        try:
            context = begun.enter_context(self._invocations.begun(function))
        except FunctionUnavailable as error:
            raise ending() from error

        def run(event: list[bytes]) -> Answer:
            with begun:
                return self._run(function, read_event(event), context)

        return run

    def _run(self, function: str, received: Any, context: Context) -> Answer:
        started = time.monotonic()
        extra: dict[str, object] = {"function": function, "request_id": context.aws_request_id, **_about(received)}
        failed, outcome = True, "failed"
        self._metrics.add(CALLS_UNDER_WAY, 1, function=function)
        try:
            content = self._functions.run(function, received, context)
            failed, outcome = False, "done"
        except FunctionFailed as error:
            if error.error_message == _UNAUTHORIZED:
                outcome = "done"
            else:
                self._logger.exception("function raised", extra=extra)
            content = msgspec.json.encode(failure(error, context.aws_request_id))
        except AnswerTooLarge:
            self._logger.exception("answer too large", extra=extra)
            content = msgspec.json.encode(response_too_large())
        seconds = time.monotonic() - started
        self._metrics.add(CALLS_UNDER_WAY, -1, function=function)
        self._metrics.count(CALLS, function=function, outcome=outcome)
        self._metrics.observe(CALL_SECONDS, seconds, function=function)
        ms = round(seconds * 1000, 1)
        self._logger.info("call", extra=extra | {"ms": ms, "bytes": len(content), "failed": failed})
        return Answer(context.aws_request_id, content, failed)

    def end(self, seconds: float) -> None:
        """Begin no more calls, and leave those under way at most `seconds`."""
        self._invocations.shorten(seconds)


def read_event(parts: list[bytes]) -> Any:
    """Return the event that came in these parts, of which none is left: it is large. Raises Refused."""
    # As on Lambda, no event is an empty one.
    payload = b"".join(parts) or b"{}"
    parts.clear()
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise event_unreadable(str(error)) from error


def _about(received: Any) -> dict[str, str]:
    """Return the keys of lines about a request that names a conversion in its path."""
    parameters = received.get("pathParameters") if isinstance(received, dict) else None
    texts = isinstance(parameters, dict) and all(isinstance(value, str) for value in parameters.values())
    return conversion_keys(parameters if texts else None)
