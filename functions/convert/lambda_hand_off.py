"""Hand-off, by asynchronous invocations of AWS Lambda."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.convert.hand_off import NotHandedOff

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
_ACCEPTED = 202


def connect_lambda() -> "LambdaClient":
    """Return a client for the region, the credentials and the endpoint (AWS_ENDPOINT_URL) of the environment.

    It makes one call and no more: the queue brings the message again.
    """
    return boto3.client(
        "lambda",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )


class LambdaHandOff:
    """Implements HandOff. Lambda keeps what it has accepted until the function was called, or the event is too old.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
    """

    def __init__(self, client: "LambdaClient") -> None:
        self._client = client

    def hand_off(self, function_arn: str, event: Mapping[str, Any]) -> None:
        """See HandOff."""
        try:
            answer = self._client.invoke(
                FunctionName=function_arn, InvocationType="Event", Payload=msgspec.json.encode(event)
            )
        except (BotoCoreError, ClientError) as error:
            raise NotHandedOff(f"Lambda did not take it: {error}") from error
        if answer["StatusCode"] != _ACCEPTED:
            raise NotHandedOff(f"Lambda answered {answer['StatusCode']}.")
