"""What Lambda says when a call is refused, and when a function failed.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
"""

import traceback
from typing import Any

import infra.invoke
from infra.invoke import MAX_PAYLOAD_BYTES, RESPONSE_TOO_LARGE, FunctionFailed


class Refused(Exception):
    """Raised when a call is not made. `error_type` is the name of Lambda's exception, `document` the answer."""

    def __init__(self, status: int, error_type: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.document = {"Type": "User" if status < 500 else "Service", "message": message, **more}


def no_such_function(name: str) -> Refused:
    """Return what is said of a name that no function here has."""
    return Refused(404, "ResourceNotFoundException", f"Function not found: {name}")


def no_such_invocation_type(name: str) -> Refused:
    """Return what is said of an X-Amz-Invocation-Type that does not exist."""
    return Refused(400, "InvalidParameterValueException", f"{name} is not RequestResponse, Event or DryRun.")


def event_too_large(limit_bytes: int) -> Refused:
    """Return what is said of an event over a limit."""
    return Refused(413, "RequestTooLargeException", f"Request must be smaller than {limit_bytes} bytes.")


def event_unreadable(reason: str) -> Refused:
    """Return what is said of an event that is not JSON."""
    return Refused(400, "InvalidRequestContentException", f"Could not parse request body into json: {reason}")


def event_too_slow() -> Refused:
    """Return what is said when an event does not arrive."""
    return Refused(408, "RequestTimeoutException", "The event did not arrive in time.")


def too_many_calls() -> Refused:
    """Return what is said when as many calls as may are under way."""
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    return Refused(429, "TooManyRequestsException", "Rate Exceeded.", Reason=reason)


def ending() -> Refused:
    """Return what is said when this process ends."""
    return Refused(503, "ServiceException", "This host is ending.")


def failure(error: FunctionFailed, request_id: str) -> dict[str, Any]:
    """Return what is said of a function that raised."""
    cause = error.__cause__
    frames = traceback.extract_tb(None if cause is None else cause.__traceback__)
    return {
        "errorMessage": error.error_message,
        "errorType": error.error_type,
        "requestId": request_id,
        # Ours at the beginning say nothing of the function.
        "stackTrace": traceback.format_list([frame for frame in frames if frame.filename != infra.invoke.__file__]),
    }


def response_too_large() -> dict[str, Any]:
    """Return what is said of a function whose answer is over Lambda's limit."""
    message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
    return {"errorMessage": message, "errorType": RESPONSE_TOO_LARGE}
