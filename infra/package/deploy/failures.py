"""What can go wrong at a deployment, and how AWS's errors become sentences."""

import contextlib
from collections.abc import Iterator
from typing import Final

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError
from botocore.parsers import ResponseParserError

_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403"}
)
_WRONG_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class CannotDeploy(Exception):
    """Raised when a deployment cannot begin, or failed. The message says why, and what to do."""


def code_of(error: ClientError) -> str:
    """Return the code of an error that AWS answered."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def aws_errors() -> Iterator[None]:
    """Raise CannotDeploy for what AWS refuses and for what does not reach it."""
    try:
        yield
    except NoCredentialsError as error:
        raise CannotDeploy(
            "There are no AWS credentials. Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except EndpointConnectionError as error:
        raise CannotDeploy(
            f"{error} Look at the network, at the region, and at AWS_ENDPOINT_URL if it is set."
        ) from error
    except ClientError as error:
        said = str(error.response.get("Error", {}).get("Message", "")) or str(error)
        if code_of(error) in _DENIED:
            raise CannotDeploy(f"AWS does not let you call {error.operation_name}: {said}") from error
        if code_of(error) in _WRONG_CREDENTIALS:
            raise CannotDeploy(f"AWS does not accept the credentials: {said} Log in again.") from error
        raise CannotDeploy(f"AWS refuses {error.operation_name}: {code_of(error)}: {said}") from error
    except ResponseParserError as error:
        raise CannotDeploy("What answers there is not AWS. Look at AWS_ENDPOINT_URL, and at proxies.") from error
    except (BotoCoreError, Boto3Error) as error:
        raise CannotDeploy(f"AWS cannot be asked: {error}") from error
