"""The service on an AWS of this machine: template.yaml, deployed as `make deploy STAGE=local` does it.

The databases and the broker are the servers of the tests. No emulator polls RabbitMQ, so the triggers call the
functions there, through the Lambda Invoke API.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from infra.local.processes import LeashedProcess, Stopping, wait_until_ready
from infra.local.servers import ServerUrls
from infra.package.deploy.deploy import Deployment
from infra.package.deploy.stages import FOLDER
from infra.package.packages import Package, package
from infra.rabbitmq.topology import QUEUES
from tests.hosts import own_databases
from tests.ministack import running_ministack

STAGE = "local"
MAIL_DOMAINS = ("example.com", "example.org")


class Packages:
    """Makes each zip once, however often the stage is deployed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made: dict[str, Package] = {}

    def __call__(self, name: str, *, runtime: str, output: Path, say: Callable[[str], None]) -> Package:
        """See infra.package.packages.package. `output` is not where they go."""
        if name not in self.made:
            self.made[name] = package(name, runtime=runtime, output=self._folder, say=say)
        return self.made[name]


class Emulator:
    """An AWS with the service in it. `environ` tells programs how to reach both, `databases` where its data are."""

    def __init__(self, folder: Path, environ: Mapping[str, str], databases: ServerUrls, url: str) -> None:
        self.environ = environ
        self.databases = databases
        self.url = url
        self.triggers_log = folder / "triggers.log"
        self._triggers: LeashedProcess | None = None

    @property
    def endpoint_url(self) -> str:
        """Where AWS is."""
        return self.environ["AWS_ENDPOINT_URL"]

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return a client of boto3 for it, to be closed."""
        return _client(service, self.environ, config)

    def start_triggers(self) -> None:
        """Let messages and the schedule call the functions from now on."""
        known = self.triggers_log.stat().st_size if self.triggers_log.exists() else 0
        self._triggers = LeashedProcess(
            "triggers",
            [sys.executable, "-m", "infra.triggers"],
            environ={
                "PATH": self.environ["PATH"],
                "AMQP_URL": self.environ["AMQP_URL"],
                "FUNCTION_ENDPOINTS": f"*={self.endpoint_url}",
                "FUNCTION_PREFIX": f"video2mp3-{STAGE}-",
                "DRAIN_S": "5",
                "LOG_FORMAT": "json",
                "PYTHONUNBUFFERED": "1",
            },
            log=self.triggers_log,
            grace_s=15,
        )

        def consume() -> bool:
            text = self.triggers_log.read_text()[known:]
            return all(f'"queue":"{queue.name}"' in text for queue in QUEUES)

        wait_until_ready(self._triggers, consume, timeout_s=60, advice="Look there.", stopping=Stopping())

    def stop_triggers(self) -> None:
        """Leave messages where they are, after those that are being handled."""
        if self._triggers is not None:
            self._triggers.stop()


@contextlib.contextmanager
def running_emulator(
    folder: Path, servers: ServerUrls, packages: Packages, settings: Mapping[str, int | str] | None = None
) -> Iterator[Emulator]:
    """Deploy to an empty one with these settings of the stage besides its own, and call the functions from then on."""
    with (
        own_databases(servers) as databases,
        running_ministack(folder) as aws,
        (folder / "deploy.log").open("w") as log,
    ):
        environ = {**os.environ, **aws, **databases.to_environ()}
        _let_mail_out(environ)
        deployment = Deployment(
            STAGE,
            say=lambda line: print(line, file=log, flush=True),
            environ=environ,
            make_package=packages,
            stages=_stage_with(settings or {}, folder / "stages"),
        )
        deployed = deployment.all()
        assert deployed is not None
        emulator = Emulator(folder, environ, databases, deployed.url)
        try:
            emulator.start_triggers()
            yield emulator
        finally:
            emulator.stop_triggers()


def _stage_with(settings: Mapping[str, int | str], folder: Path) -> Path:
    folder.mkdir()
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    stage = (FOLDER / f"{STAGE}.toml").read_text()
    (folder / f"{STAGE}.toml").write_text("\n".join([*lines, stage]))
    return folder


def _let_mail_out(environ: Mapping[str, str]) -> None:
    # A new account may send only between addresses that it has verified.
    ses = _client("ses", environ)
    for domain in MAIL_DOMAINS:
        ses.verify_domain_identity(Domain=domain)
    ses.close()


def _client(service: str, environ: Mapping[str, str], config: Config | None = None) -> Any:
    # The stubs know services by their names only.
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=environ["AWS_DEFAULT_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=config,
    )
