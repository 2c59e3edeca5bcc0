"""Deploy a whole stage, or the code of one of its functions."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.package.deploy.address import api_url, check_health
from infra.package.deploy.artifacts import Artifacts
from infra.package.deploy.aws import Aws, connect_aws
from infra.package.deploy.code import Code
from infra.package.deploy.failures import CannotDeploy
from infra.package.deploy.gateway_responses import use_gateway_responses, with_gateway_responses
from infra.package.deploy.secret_store import Secrets
from infra.package.deploy.stack import Change, Stack
from infra.package.deploy.stages import FOLDER, Stage, load_stage
from infra.package.document import packages_of, with_code, with_origin, with_plain_slashes, with_runtime
from infra.package.packages import OUTPUT, Package, package
from infra.template import load_document


class Packager(Protocol):
    """Makes the zip of a function. It is infra.package.packages.package."""

    def __call__(self, name: str, *, runtime: str, output: Path, say: Callable[[str], None]) -> Package:
        """Raises CannotPackage."""


@dataclass(frozen=True)
class Deployed:
    """What a deployment left. `before` and `after` are the SHA-256 of each function's code, by logical id."""

    url: str
    outputs: Mapping[str, str]
    before: Mapping[str, str]
    after: Mapping[str, str]


class Deployment:
    """Deploys one stage. `say` is told of every step; `confirm` is asked whether changes shall be made."""

    def __init__(
        self,
        stage_name: str,
        *,
        say: Callable[[str], None],
        confirm: Callable[[], bool] = lambda: True,
        environ: Mapping[str, str] = os.environ,
        make_package: Packager = package,
        stages: Path = FOLDER,
        output: Path = OUTPUT,
    ) -> None:
        self._document = load_document()
        self._stage: Stage = load_stage(stage_name, self._document["Parameters"], stages)
        self._environ = environ
        self._say = say
        self._confirm = confirm
        self._make_package = make_package
        # What is made for an emulator must not lie where AWS's is looked for.
        self._output = output / self._stage.runtime
        self._packages_of = packages_of(self._document)
        self._aws: Aws = connect_aws(self._stage, environ)

    @property
    def is_emulator(self) -> bool:
        """Whether it goes to something that is not AWS."""
        return self._aws.is_emulator

    def all(self, *, renew_secrets: bool = False) -> Deployed | None:
        """Deploy template.yaml with all code. Returns None if somebody said no.

        Raises CannotDeploy, CannotPackage and what boto3 raises.
        """
        artifacts, stack, secrets = self._artifacts(), self._stack(), self._secrets()
        known = {} if stack.is_new() else stack.outputs()
        self._check_access_logs()
        arns = secrets.arns(with_smtp=self._stage.parameters.get("MailTransport") == "smtp")
        parameters = {"Stage": self._stage.name, **self._stage.parameters, **arns}
        names = [name for group in self._packages_of.values() for name in group]
        before = self._code.hashes(names)
        packages = self._package_all()
        artifacts.ensure_bucket()
        for each in packages.values():
            artifacts.upload(each)
        document = with_code(copy.deepcopy(self._document), lambda name: artifacts.uri(packages[name]))
        document = with_runtime(document, self._stage.runtime)
        document = with_origin(document, self._stage.parameters.get("CorsOrigin", ""))
        if self._aws.is_emulator:
            document = with_gateway_responses(with_plain_slashes(document))
        template_url = artifacts.upload_template(document)
        url = api_url(self._aws, self._stage.name, known) if known else ""
        for attempt in range(3):
            # Functions cannot be told an address that depends on them. So they hear of it a second time.
            change_set = stack.prepare(template_url, {"PublicUrl": url} | parameters)
            if change_set is None:
                self._say(f"{self._stage.stack}: nothing to change")
            else:
                self._say(f"{self._stage.stack}: {len(change_set.changes)} changes\n{_table(change_set.changes)}")
                if attempt == 0 and not self._confirm():
                    stack.drop(change_set)
                    return None
                stack.execute(change_set)
            outputs = stack.outputs()
            url, last = api_url(self._aws, self._stage.name, outputs), url
            if url == last or "PublicUrl" in parameters:
                break
            self._say(f"The API is at {url}. Telling the functions.")
        if self._aws.is_emulator:
            use_gateway_responses(self._aws.apis, outputs["ApiId"], self._stage.name)
        self._undo_single_deployments(packages, artifacts)
        if renew_secrets:
            secrets.renew()
            self._say("Starting the functions anew, so that they read their secrets")
            self._code.restart(names)
        self._check_health(url)
        return Deployed(url, outputs, before, self._code.hashes(names))

    def one(self, name: str) -> Deployed:
        """Deploy the code of one package, and nothing else.

        Raises CannotDeploy, CannotPackage and what boto3 raises.
        """
        if name not in self._packages_of:
            raise CannotDeploy(f"There is no function {name!r}. There are: {', '.join(sorted(self._packages_of))}.")
        artifacts, stack = self._artifacts(), self._stack()
        outputs = {} if stack.is_new() else stack.outputs()
        everything = [each for group in self._packages_of.values() for each in group]
        before = self._code.hashes(everything)
        functions = self._packages_of[name]
        if not outputs or not before.keys() >= set(functions):
            raise CannotDeploy(f"{name} is not deployed there. First deploy all: make deploy STAGE={self._stage.name}")
        self._code.check_runtime(functions)
        made = self._package(name)
        changed = [each for each in functions if before[each] != made.sha256]
        if changed:
            artifacts.ensure_bucket()
            artifacts.upload(made)
        else:
            self._say(f"{name}: nothing changed")
        for each in changed:
            self._say(f"{each}: getting its new code")
            self._code.update(each, made, artifacts)
        url = api_url(self._aws, self._stage.name, outputs)
        self._check_health(url)
        return Deployed(url, outputs, before, self._code.hashes(everything))

    def _artifacts(self) -> Artifacts:
        account = self._aws.account()
        place = self._aws.endpoint_url or f"account {account}, {self._aws.region}"
        self._say(f"Stage {self._stage.name}: {place}")
        return Artifacts(self._aws.s3, self._stage.stack, account, self._aws.region, self._say)

    def _stack(self) -> Stack:
        return Stack(self._aws.cloudformation, self._stage.stack, poll_s=self._aws.poll_s, say=self._say)

    def _secrets(self) -> Secrets:
        return Secrets(self._aws.secrets, self._stage.name, self._environ, self._say)

    def _check_access_logs(self) -> None:
        wanted = self._stage.parameters.get("AccessLogs", "true") == "true"
        if wanted and not self._aws.is_emulator and not self._aws.apis.get_account().get("cloudwatchRoleArn"):
            raise CannotDeploy(
                f"API Gateway has no role to write logs with in {self._aws.region}. Give it one "
                "(https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html), or set "
                f"access_logs = false in stages/{self._stage.name}.toml."
            )

    @property
    def _code(self) -> Code:
        return Code(self._aws, self._stage)

    def _package_all(self) -> dict[str, Package]:
        # Most of the work is in other processes.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            try:
                return dict(zip(self._packages_of, pool.map(self._package, self._packages_of), strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _package(self, name: str) -> Package:
        return self._make_package(name, runtime=self._stage.runtime, output=self._output, say=self._say)

    def _undo_single_deployments(self, packages: Mapping[str, Package], artifacts: Artifacts) -> None:
        """CloudFormation does not see code that was deployed alone, so it would leave it when it is the older one."""
        for name, made in packages.items():
            for function, found in self._code.hashes(self._packages_of[name]).items():
                if found != made.sha256:
                    self._say(f"{function}: had other code, by a deployment of its own")
                    self._code.update(function, made, artifacts)

    def _check_health(self, url: str) -> None:
        self._say(f"Waiting for {url}/healthz")
        check_health(url)


def _table(changes: Sequence[Change]) -> str:
    rows = [("", "what", "kind", "replaced"), *((each.action, each.name, each.kind, each.replaced) for each in changes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(["", *map(str.ljust, row, widths)]).rstrip() for row in rows)
