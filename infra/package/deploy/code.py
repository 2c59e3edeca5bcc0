"""The code of functions that are deployed."""

import base64
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from botocore.exceptions import ClientError

from infra.package.deploy.artifacts import Artifacts
from infra.package.deploy.aws import Aws
from infra.package.deploy.failures import CannotDeploy, code_of
from infra.package.deploy.stages import Stage
from infra.package.packages import Package

_TIMEOUT_S: Final = 180


class Code:
    """The functions of a stage, by logical id."""

    def __init__(self, aws: Aws, stage: Stage) -> None:
        self._aws = aws
        self._stage = stage

    def hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of each function's zip, in hexadecimal digits. One that is not there is left out."""
        found = {}
        for name in names:
            try:
                answer = self._aws.functions.get_function_configuration(FunctionName=self._stage.function(name))
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    continue
                raise
            found[name] = base64.b64decode(answer["CodeSha256"]).hex()
        return found

    def check_runtime(self, names: Iterable[str]) -> None:
        """Raise CannotDeploy if one of them runs on another runtime than the stage says, so other packages fit it."""
        for name in names:
            answer = self._aws.functions.get_function_configuration(FunctionName=self._stage.function(name))
            if answer["Runtime"] != self._stage.runtime:
                raise CannotDeploy(
                    f"{name} runs on {answer['Runtime']}, and the stage says {self._stage.runtime}. "
                    f"First deploy all: make deploy STAGE={self._stage.name}"
                )

    def update(self, name: str, package: Package, artifacts: Artifacts) -> None:
        """Give a function the code of a package that was uploaded, and wait until it runs. Raises CannotDeploy."""
        self._aws.functions.update_function_code(
            FunctionName=self._stage.function(name), S3Bucket=artifacts.bucket, S3Key=artifacts.key(package)
        )
        self._wait(name)

    def restart(self, names: Iterable[str]) -> None:
        """Let functions start anew, so that they read their secrets again."""
        names = list(names)
        for name in names:
            # Any change of a setting does it.
            self._aws.functions.update_function_configuration(
                FunctionName=self._stage.function(name),
                Description=f"Read its secrets after {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            )
        for name in names:
            self._wait(name)

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            found = self._aws.functions.get_function_configuration(FunctionName=self._stage.function(name))
            status = found.get("LastUpdateStatus", "Successful")
            if status == "Failed":
                raise CannotDeploy(f"Lambda could not update {name}: {found.get('LastUpdateStatusReason', '')}")
            if status == "Successful" and found.get("State", "Active") in {"Active", "Inactive"}:
                return
            if time.monotonic() > deadline:
                raise CannotDeploy(f"Lambda has not updated {name} after {_TIMEOUT_S} s. It goes on.")
            time.sleep(self._aws.poll_s)
