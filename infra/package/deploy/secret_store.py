"""The secrets of a stage, in Secrets Manager. Functions read them there; CloudFormation never sees one.

There is one for each purpose, so that a function can be let in to those that it needs and to no other.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from infra.package.deploy.aws import Client
from infra.package.deploy.failures import CannotDeploy, code_of

# The setting that each holds, which is also the environment variable from which it is made.
SECRETS: Final = {
    "postgres": "POSTGRES_URL",
    "mongodb": "MONGODB_URL",
    "broker": "AMQP_URL",
    "access-keys": "JWT_KEYS",
    "link-keys": "LINK_KEYS",
    "smtp": "SMTP_URL",
}
_GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "access-keys": lambda: f"{secrets.token_hex(4)}={secrets.token_urlsafe(32)}",
    "link-keys": lambda: secrets.token_urlsafe(32),
}


def parameter(purpose: str) -> str:
    """Return the parameter of template.yaml that takes the ARN: access-keys is AccessKeysSecretArn."""
    return "".join(part.capitalize() for part in purpose.split("-")) + "SecretArn"


def secret_name(stage: str, purpose: str) -> str:
    """Return the name of a secret."""
    return f"video2mp3/{stage}/{purpose}"


class Secrets:
    """Those of one stage. `say` is told what is made and changed, never what is in it."""

    def __init__(self, client: Client, stage: str, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._client = client
        self._stage = stage
        self._environ = environ
        self._say = say

    def arns(self, *, with_smtp: bool) -> dict[str, str]:
        """Return the ARNs by parameter. What is missing is made from the environment; keys are made up.

        Raises CannotDeploy if some can be neither found nor made, which are all named; then none is made.
        """
        purposes = [purpose for purpose in SECRETS if with_smtp or purpose != "smtp"]
        found = {purpose: self._find(purpose) for purpose in purposes}
        missing = [purpose for purpose, arn in found.items() if arn is None]
        values = {purpose: self._value(purpose) for purpose in missing}
        lacking = [purpose for purpose, value in values.items() if not value]
        if lacking:
            raise CannotDeploy(
                "\n".join(
                    f"The secret {secret_name(self._stage, each)} is missing. "
                    f"Set {SECRETS[each]} in the environment, and it is made from that."
                    for each in lacking
                )
            )
        contents = {purpose: _content(purpose, value or "") for purpose, value in values.items()}
        made = {purpose: self._create(purpose, content) for purpose, content in contents.items()}
        return {parameter(purpose): made.get(purpose) or str(arn) for purpose, arn in found.items()}

    def renew(self) -> None:
        """Write those over that the environment has values for. What was in them is not read. Raises CannotDeploy."""
        given = {purpose: value for purpose, variable in SECRETS.items() if (value := self._environ.get(variable))}
        contents = {purpose: _content(purpose, value) for purpose, value in given.items()}
        for purpose, content in contents.items():
            if self._find(purpose) is not None:
                name = secret_name(self._stage, purpose)
                self._client.put_secret_value(SecretId=name, SecretString=json.dumps(content))
                self._say(f"Secret {name}: set to what {SECRETS[purpose]} says")

    def _value(self, purpose: str) -> str | None:
        value = self._environ.get(SECRETS[purpose])
        return value or _GENERATED.get(purpose, lambda: "")() or None

    def _find(self, purpose: str) -> str | None:
        name = secret_name(self._stage, purpose)
        try:
            found = self._client.describe_secret(SecretId=name)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise
        if found.get("DeletedDate"):
            raise CannotDeploy(
                f"The secret {name} is about to be deleted. Keep it: "
                f"aws secretsmanager restore-secret --region {self._client.meta.region_name} --secret-id {name}"
            )
        return str(found["ARN"])

    def _create(self, purpose: str, content: Mapping[str, str]) -> str:
        name = secret_name(self._stage, purpose)
        made = self._client.create_secret(
            Name=name,
            SecretString=json.dumps(content),
            Description=f"{SECRETS[purpose]} of video2mp3, stage {self._stage}",
        )
        origin = f"from {SECRETS[purpose]}" if self._environ.get(SECRETS[purpose]) else "with a new key"
        self._say(f"Secret {name}: made {origin}")
        return str(made["ARN"])


def _content(purpose: str, value: str) -> dict[str, str]:
    """Return what a secret holds. Raises CannotDeploy."""
    content = {SECRETS[purpose]: value}
    if purpose == "broker":
        # Lambda, which polls the broker, wants these by name.
        try:
            parts = urlsplit(value)
            content |= {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        except ValueError:
            # What Python says of it may quote the password.
            content |= {"username": "", "password": ""}
        if not content["username"] or not content["password"]:
            raise CannotDeploy("AMQP_URL must be like amqps://user:password@host:5671/virtual-host.")
    return content
