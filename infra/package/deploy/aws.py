"""Clients of AWS, or of an emulator of it."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from infra.package.deploy.failures import CannotDeploy
from infra.package.deploy.stages import Stage

# What boto3 makes has no types of its own.
Client = Any


class Aws:
    """One AWS account and region: the clients that a deployment needs, and who asks.

    `endpoint_url` is None at AWS itself. Raises CannotDeploy if one is given that is no address.
    """

    def __init__(self, stage: Stage, environ: Mapping[str, str]) -> None:
        self.region = stage.region
        self.endpoint_url = environ.get("AWS_ENDPOINT_URL") or stage.endpoint_url
        if self.endpoint_url is not None and not _is_address(self.endpoint_url):
            raise CannotDeploy(
                f"An emulator's address is like http://127.0.0.1:4566, not {self.endpoint_url!r}. "
                "AWS_ENDPOINT_URL names it, or endpoint_url of the stage."
            )
        session = boto3.session.Session(region_name=stage.region)
        keys = {}
        if self.endpoint_url is not None:
            # An emulator believes everybody, but everybody must sign. What a profile holds is not for it.
            keys = {
                "aws_access_key_id": environ.get("AWS_ACCESS_KEY_ID") or "test",
                "aws_secret_access_key": environ.get("AWS_SECRET_ACCESS_KEY") or "test",
            }
        # An emulator answers at once or does not run.
        attempts = 5 if self.endpoint_url is None else 1
        config = Config(
            connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": attempts}
        )

        def client(service: str) -> Client:
            # The stubs know the services by name only, and not all are installed.
            make: Any = session.client
            return make(service, endpoint_url=self.endpoint_url, config=config, **keys)

        self.cloudformation = client("cloudformation")
        self.functions = client("lambda")
        self.secrets = client("secretsmanager")
        self.s3 = client("s3")
        self.apis = client("apigateway")
        self._sts = client("sts")

    @property
    def is_emulator(self) -> bool:
        """Whether this is not AWS itself."""
        return self.endpoint_url is not None

    @property
    def poll_s(self) -> float:
        """How long to wait before asking again how far something is."""
        return 0.2 if self.is_emulator else 2.0

    def account(self) -> str:
        """Return the number of the account. It is the first question, so it tells who has no credentials."""
        return str(self._sts.get_caller_identity()["Account"])


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def connect_aws(stage: Stage, environ: Mapping[str, str] = os.environ) -> Aws:
    """Return the clients for a stage."""
    return Aws(stage, environ)
