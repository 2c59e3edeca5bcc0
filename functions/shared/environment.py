"""The environment that settings are read from: its variables, and on AWS what secrets add to them."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_secretsmanager import SecretsManagerClient

# Somebody waits for the answer of the function, which has 29 s for all.
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 4
ATTEMPTS = 2

# What AWS answers with another status than 500 and more, and yet would not answer a little later.
_BUSY = frozenset({"RequestLimitExceeded", "RequestTimeout", "Throttling", "ThrottlingException"})


def environment() -> Mapping[str, str]:
    """Return the variables of this process, and beside them the settings in the secrets that SECRETS names.

    SECRETS holds ids or ARNs of Secrets Manager, separated by commas. Each secret is a JSON object of settings, such as
    {"MONGODB_URL": "mongodb+srv://…"}, and is fetched once at each call. A variable that is set wins over a secret.

    Raises:
        InvalidSettings: a secret cannot be read, or is something else. The message names it and never says its content.
        Unavailable: Secrets Manager does not answer, or is too busy. Nothing is wrong with the settings.
    """
    secret_ids = [name.strip() for name in os.environ.get("SECRETS", "").split(",") if name.strip()]
    if not secret_ids:
        return os.environ
    client = _connect()
    found: dict[str, str] = {}
    for secret_id in secret_ids:
        found |= _settings_in(_fetch(client, secret_id), secret_id)
    # To settings, an empty variable is none.
    return found | {name: value for name, value in os.environ.items() if value}


def _connect() -> "SecretsManagerClient":
    # It takes half a second to import, which only those should wait that need it.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        return boto3.client("secretsmanager", config=config)
    except BotoCoreError as error:
        raise InvalidSettings(f"SECRETS cannot be used: {error}") from error


def _fetch(client: "SecretsManagerClient", secret_id: str) -> str:
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004, PLC0415

    try:
        answer = client.get_secret_value(SecretId=secret_id)
    except (ConnectionError, HTTPClientError) as error:
        raise Unavailable("The store of secrets") from error
    except ClientError as error:
        if _passes(error):
            raise Unavailable("The store of secrets") from error
        raise InvalidSettings(f"The secret {secret_id} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise InvalidSettings(f"The secret {secret_id} cannot be read: {error}") from error
    # A secret of bytes has none.
    return answer.get("SecretString", "")


def _passes(error: "ClientError") -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or error.response.get("Error", {}).get("Code") in _BUSY


def _settings_in(text: str, secret_id: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        # Not even the cause is told: it could quote what it could not read.
        raise InvalidSettings(f"The secret {secret_id} is not a JSON object of strings.") from None
