"""Functions that are called through the Lambda Invoke API: at a host of ours, at an emulator, or on AWS.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import msgspec
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)

from functions.shared.settings import InvalidSettings
from infra.invoke import (
    REGION,
    RESPONSE_TOO_LARGE,
    AnswerLost,
    AnswerTooLarge,
    EventTooLarge,
    FunctionFailed,
    FunctionUnavailable,
    to_payload,
)
from infra.template import Function

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONNECT_TIMEOUT_S = 3
# Whoever runs a function ends it at its own limit, and has to have the time to say so.
MARGIN_S = 5
# More than a gateway has threads, so that no connection is opened for one call alone.
_MAX_CONNECTIONS = 100

# What Lambda calls an event that is not JSON, or nested too deeply.
_UNREADABLE = "InvalidRequestContentException"

_AWS = re.compile(
    r"https://(?:.+\.)?lambda(?:-fips)?\.([a-z0-9-]+)(?:(?:\.vpce)?\.amazonaws\.com(?:\.cn)?|\.api\.aws)/?"
)
# A host that ends cannot wait for a function any longer; a proxy on the way did not.
_NO_ANSWER = {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.GATEWAY_TIMEOUT}
# Closed, timed out or broken off: the function was reached, or may have been. What else botocore raises comes before.
_LOST = (HTTPClientError, IncompleteReadError)


class LambdaFunctions:
    """Functions behind one endpoint of the Lambda Invoke API. Implements Functions.

    A call is made once: whoever calls knows whether it may come twice. At the endpoint, names begin with `prefix`.
    """

    def __init__(self, clients: Mapping[str, "LambdaClient"], *, prefix: str = "") -> None:
        """Make it of the clients by which each function is called."""
        self._clients = clients
        self._prefix = prefix

    def invoke(self, function_name: str, event: Any) -> Any:
        """See Functions. Raises ValueError or TypeError if the event is not JSON."""
        client = self._clients.get(function_name)
        if client is None:
            raise FunctionUnavailable(f"There is no function {function_name}.")
        payload = to_payload(event)
        # As in process: of a slice of a video, one shape in memory is enough.
        del event
        try:
            answer = client.invoke(FunctionName=f"{self._prefix}{function_name}", Payload=payload)
            content = answer["Payload"].read()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise EventTooLarge(str(error)) from error
            if error.response.get("Error", {}).get("Code") == _UNREADABLE:
                # It is the same each time: a message that waits for its function must not wait for this.
                raise ValueError(f"The event cannot be read: {error}") from error
            if status in _NO_ANSWER:
                raise AnswerLost(f"{function_name} gave no answer: {error}") from error
            raise FunctionUnavailable(f"{function_name} is not called: {error}") from error
        except _LOST as error:
            raise AnswerLost(f"{function_name} gave no answer: {error}") from error
        except BotoCoreError as error:
            raise FunctionUnavailable(f"{function_name} cannot be reached: {error}") from error
        return _read(function_name, answer.get("FunctionError"), content)


def connect_functions(functions: Mapping[str, Function], url: str, *, prefix: str = "") -> LambdaFunctions:
    """Return functions at an endpoint. Nothing is sent. A call is waited for as long as the function may take.

    Raises InvalidSettings if botocore does not take the URL, or what there is of region and credentials.
    """
    timeouts = {function.timeout_s for function in functions.values()}
    try:
        clients = {timeout_s: connect_lambda(url, read_timeout_s=timeout_s + MARGIN_S) for timeout_s in timeouts}
    except (BotoCoreError, ValueError) as error:
        raise InvalidSettings(f"Functions at {url} cannot be called: {error}") from error
    return LambdaFunctions({name: clients[function.timeout_s] for name, function in functions.items()}, prefix=prefix)


def connect_lambda(url: str, *, read_timeout_s: float) -> "LambdaClient":
    """Return a client that tries once. Threads may share it. Without credentials it signs nothing.

    Raises BotoCoreError, and ValueError if the URL is none.
    """
    aws = _AWS.fullmatch(url)
    session = botocore.session.Session()
    if not aws:
        # Only AWS wants to know who calls. Elsewhere nobody answers for the machine's own role, and that takes seconds.
        session.get_component("credential_provider").remove("iam-role")
    credentials = session.get_credentials()
    if aws and credentials is None:
        raise NoCredentialsError
    region = aws[1] if aws else session.get_config_variable("region") or REGION
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=_MAX_CONNECTIONS,
        tcp_keepalive=True,
        signature_version=UNSIGNED if credentials is None else None,
    )
    return boto3.Session(botocore_session=session).client("lambda", region_name=region, endpoint_url=url, config=config)


class _Failure(msgspec.Struct):
    """What Lambda says of a function that failed."""

    error_type: str | None = msgspec.field(name="errorType", default=None)
    error_message: str | None = msgspec.field(name="errorMessage", default=None)


def _read(function_name: str, failed: str | None, content: bytes) -> Any:
    try:
        if not failed:
            return msgspec.json.decode(content)
        failure = msgspec.json.decode(content, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnswerLost(f"What came from {function_name} is no answer of Lambda: {error}") from error
    if failure.error_type == RESPONSE_TOO_LARGE:
        raise AnswerTooLarge(failure.error_message)
    raise FunctionFailed(function_name, failure.error_type or failed, failure.error_message or "")
