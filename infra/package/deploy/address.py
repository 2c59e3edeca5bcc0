"""Where the API of a stage is reached."""

import http.client
import time
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from infra.package.deploy.aws import Aws
from infra.package.deploy.failures import CannotDeploy, code_of

# A function that was never called installs itself first.
_HEALTHY_WITHIN_S: Final = 60


def api_url(aws: Aws, stage: str, outputs: dict[str, str]) -> str:
    """Return the address of the API that a stack made. `outputs` are the stack's."""
    if aws.endpoint_url is None:
        return outputs["ApiUrl"]
    api, emulator = outputs["ApiId"], urlsplit(aws.endpoint_url)
    if not _is_ministack(aws.endpoint_url):
        # This name leads to 127.0.0.1. https://docs.localstack.cloud/aws/services/apigateway/
        return f"http://{api}.execute-api.localhost.localstack.cloud:{emulator.port or 80}/{stage}"
    # Its own name for an API ends in .localhost, which not every system resolves. Its addresses without a name begin
    # with a path that functions do not hear of, so what they say in Location would be wrong. But for a domain of ours
    # it takes any name with a dot.
    host = "127.0.0.1" if emulator.hostname in {None, "localhost"} else str(emulator.hostname)
    _let_domain_lead_to(aws, host, stage, api)
    return f"http://{host}:{emulator.port or 80}/{stage}"


def check_health(url: str) -> None:
    """Wait until /healthz answers 200. Raises CannotDeploy with what it answers instead."""
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    while (said := _ask(f"{url}/healthz")) != "200":
        if time.monotonic() > deadline:
            raise CannotDeploy(
                f"It is deployed, but {url}/healthz answers {said}. Look into the logs of HealthFunction."
            )
        time.sleep(0.5)


def _let_domain_lead_to(aws: Aws, domain: str, base_path: str, api: str) -> None:
    try:
        aws.apis.get_domain_name(domainName=domain)
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        aws.apis.create_domain_name(domainName=domain)
    try:
        if aws.apis.get_base_path_mapping(domainName=domain, basePath=base_path)["restApiId"] == api:
            return
        aws.apis.delete_base_path_mapping(domainName=domain, basePath=base_path)
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
    aws.apis.create_base_path_mapping(domainName=domain, basePath=base_path, restApiId=api, stage=base_path)


def _is_ministack(endpoint_url: str) -> bool:
    return _ask(f"{endpoint_url.rstrip('/')}/_ministack/health") == "200"


def _ask(url: str) -> str:
    """Return the status that a URL answers, or what went wrong."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", parts.path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return f"nothing ({error})"
    finally:
        connection.close()
