"""Call functions by name, under Lambda's limits, wherever they run."""

import functools
import importlib
import math
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from functions.shared.once import once
from infra.template import Function

# What Lambda takes and gives in a synchronous call. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_PAYLOAD_BYTES = 6_291_556
# How it calls an answer that is over that.
RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"

# The account and region of what has none because it runs here. Real ones come with a real event.
REGION = "us-east-1"
ACCOUNT = "000000000000"


class FunctionFailed(Exception):
    """Raised when a function raised. `error_type` is the name of its exception's class, as Lambda reports it."""

    def __init__(self, function_name: str, error_type: str, error_message: str) -> None:
        super().__init__(f"{function_name} raised {error_type}: {error_message}")
        self.error_type = error_type
        self.error_message = error_message


class EventTooLarge(Exception):
    """Raised when an event is over MAX_PAYLOAD_BYTES. The function was not called."""


class AnswerTooLarge(Exception):
    """Raised when an answer is over MAX_PAYLOAD_BYTES. The function did its work."""


class FunctionUnavailable(Exception):
    """Raised when a function could not be called at all, or its answer did not arrive in time."""


class AnswerLost(FunctionUnavailable):
    """Raised when a function was called and no answer came. It may have done its work, or be at it, or have died."""


class Functions(Protocol):
    """The functions, by their names in template.yaml."""

    def invoke(self, function_name: str, event: Any) -> Any:
        """Call a function, wait for it, and return its answer. Event and answer are JSON values. Threads may share.

        Raises:
            FunctionFailed: the function raised.
            EventTooLarge, AnswerTooLarge: a limit of Lambda is reached.
            FunctionUnavailable: the function does not exist, or cannot be reached. AnswerLost if it may have been.
        """


class Context:
    """The context of one call, with what functions use of Lambda's.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(
        self, function: Function, *, request_id: str, timeout_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
        self.memory_limit_in_mb = function.memory_mb
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = request_id
        self.identity = None
        self.client_context = None
        self._monotonic = monotonic
        self._deadline = monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run; never less than 0."""
        return max(0, int((self._deadline - self._monotonic()) * 1000))

    def shorten(self, seconds: float) -> None:
        """Leave the function at most `seconds` from now. The host is ending and tells it so; it never gives more."""
        self._deadline = min(self._deadline, self._monotonic() + seconds)


class InProcessFunctions:
    """Functions of this process, imported at their first call. Implements Functions.

    Lambda's time-out cannot be enforced on a thread: a function that works for long watches its context.
    """

    def __init__(
        self, functions: Mapping[str, Function], new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self._functions = functions
        self._handlers = {name: once(functools.partial(_import, function)) for name, function in functions.items()}
        self._new_id = new_id

    def context(self, function_name: str) -> Context:
        """Return a context for one call, for a host that wants to shorten it."""
        function = self._functions.get(function_name)
        if function is None:
            raise FunctionUnavailable(f"template.yaml has no function {function_name}.")
        return Context(function, request_id=self._new_id(), timeout_s=function.timeout_s)

    def invoke(self, function_name: str, event: Any, context: Context | None = None) -> Any:
        """See Functions. Raises ValueError or TypeError if the event is not JSON."""
        context = context or self.context(function_name)
        payload = to_payload(event)
        # A slice of a video is some megabytes; while the function works nobody needs it in this shape, too.
        del event
        received = msgspec.json.decode(payload)
        del payload
        return msgspec.json.decode(self.run(function_name, received, context))

    def run(self, function_name: str, received: Any, context: Context) -> bytes:
        """Call a function with an event that was just read from JSON, and return its answer as JSON.

        Raises FunctionFailed and AnswerTooLarge.
        """
        try:
            handler = self._handlers[function_name]()
            # Lambda, too, reports what cannot be written as JSON as the function's error.
            answer = _to_json(handler(received, context))
        except (Exception, SystemExit) as error:
            raise FunctionFailed(function_name, type(error).__name__, str(error)) from error
        if len(answer) > MAX_PAYLOAD_BYTES:
            raise AnswerTooLarge(f"The answer is {len(answer)} bytes, Lambda gives {MAX_PAYLOAD_BYTES}.")
        return answer


def _import(function: Function) -> Callable[[Any, Context], Any]:
    module, _, attribute = function.handler.rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), attribute)
    return handler


def to_payload(event: Any) -> bytes:
    """Return an event as it is sent. Raises EventTooLarge, and ValueError or TypeError if it is not JSON."""
    payload = _to_json(event)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EventTooLarge(f"The event is {len(payload)} bytes, Lambda takes {MAX_PAYLOAD_BYTES}.")
    return payload


def _to_json(value: Any) -> bytes:
    """Return a JSON value as JSON. Raises ValueError or TypeError where Lambda's runtime would.

    It is ten times as fast as the json module with a slice of a video, but takes more: bytes, sets, times.
    """
    _refuse_other_than_json(value)
    return msgspec.json.encode(value)


def _refuse_other_than_json(value: Any) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str | int | float):
                raise TypeError(f"A {type(key).__name__} is no key in JSON.")
            _refuse_other_than_json(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_other_than_json(each)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("NaN and infinity are not JSON.")
    elif not (value is None or isinstance(value, str | int)):
        raise TypeError(f"A {type(value).__name__} is not JSON.")
