"""E-mail through Amazon SES."""

from email.message import EmailMessage
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.notify.mailers import MailNotSent, Undeliverable, recipient

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# Lambda ends notify after 60 s.
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 10
ATTEMPTS = 4

# SES looked at the letter and does not want it: https://docs.aws.amazon.com/ses/latest/APIReference/API_SendRawEmail.html
_REFUSED = frozenset({"MessageRejected", "InvalidParameterValue"})


def connect_ses() -> "SESClient":
    """Return a client for the region, the credentials and the endpoint (AWS_ENDPOINT_URL) of the environment."""
    return boto3.client(
        "ses",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )


class SesMail:
    """Implements Mailers. SES replaces the Message-ID by its own."""

    def __init__(self, client: "SESClient") -> None:
        self._client = client

    def send(self, letter: EmailMessage) -> None:
        """See Mailers."""
        try:
            self._client.send_raw_email(RawMessage={"Data": letter.as_bytes()}, Destinations=[recipient(letter)])
        except ClientError as error:
            if error.response["Error"]["Code"] in _REFUSED:
                raise Undeliverable(str(error)) from error
            raise MailNotSent(f"SES did not take it: {error}") from error
        except BotoCoreError as error:
            raise MailNotSent(f"SES cannot be reached: {error}") from error
