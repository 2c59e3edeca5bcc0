"""The whole stack on this machine: the servers, the gateway and the triggers, watched until the end."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aws_lambda_powertools import Logger

from functions.shared.settings import InvalidSettings
from infra.local.keys import kept_keys
from infra.local.processes import LeashedProcess, ServerFailed, Stopping, free_port, stop_all, try_port
from infra.local.servers import LocalServers
from infra.local.service import Service
from infra.local.state import Running, State
from infra.prepare import NotPrepared, Settings, prepare
from infra.settings import check_settings
from infra.template import InvalidTemplate, load_template

DEFAULT_PORT = 8080
DEFAULT_HOST = "127.0.0.1"
# A laptop does not wait: a conversion that is interrupted starts again at the next `make run`.
_DRAIN_S = "3"

_LAST_PORT = 65535

_WATCH_S = 0.2
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
# A process that has run for this long did not fail because of how it was started.
_STEADY_S = 30.0


class Watched(Protocol):
    """A server or a service, which runs until everything is to stop."""

    name: str
    process: LeashedProcess | None

    def start_again(self, stopping: Stopping) -> None:
        """Start it after it ended. Raises ServerFailed and Interrupted."""


@dataclass
class _Watch:
    """When something was started last, and how long to wait before it is started again."""

    what: Watched
    started_at: float
    pause_s: float = _FIRST_PAUSE_S
    start_at: float | None = None


class Supervisor:
    """PostgreSQL, MongoDB, RabbitMQ, the gateway and the triggers, with all their data in one folder."""

    def __init__(self, state: State, environ: Mapping[str, str], logger: Logger) -> None:
        self._state = state
        self._logger = logger
        self._host = environ.get("HOST") or DEFAULT_HOST
        self._port = _port(self._host, environ.get("PORT") or str(DEFAULT_PORT))
        self._servers = LocalServers(state.folder, environ)
        self._given = environ
        self._services: list[Service] = []
        # The ports where the gateway and the triggers tell their metrics.
        self._metrics: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Where a client on this machine finds the gateway."""
        return _url(self._host, self._port)

    @property
    def metrics(self) -> dict[str, str]:
        """Where Prometheus on this machine finds the metrics of each process that has some."""
        host = self._given.get("METRICS_HOST") or DEFAULT_HOST
        return {name: f"{_url(host, port)}/metrics" for name, port in self._metrics.items()}

    def start(self, stopping: Stopping) -> None:
        """Start everything and return when it works. Raises ServerFailed and Interrupted."""
        self._announce(ready=False)
        self._servers.start(stopping)
        environ = self.environ()
        self._prepare(environ)
        drain_s = _seconds("DRAIN_S", environ["DRAIN_S"])
        self._metrics = _metrics_ports(environ)
        told = {name: environ | {"METRICS_PORT": str(port)} for name, port in self._metrics.items()}
        self._services = [
            Service(
                "gateway",
                "infra.gateway",
                told.get("gateway", environ),
                drain_s=drain_s,
                # Not /readyz: the servers were looked at just now, and events may be owed from before.
                ready_url=f"{self.url}/healthz",
            ),
            Service("triggers", "infra.triggers", told.get("triggers", environ), drain_s=drain_s),
        ]
        for service in reversed(self._services):
            service.start(stopping)
        self._announce(ready=True)

    def watch(self, stopping: Stopping) -> None:
        """Start again whatever ends, until `stopping` is set. Raises Interrupted, always."""
        watches = [_Watch(what, time.monotonic()) for what in self._all()]
        while True:
            stopping.sleep(_WATCH_S)
            for watch in watches:
                self._look_after(watch, stopping)

    def stop(self) -> None:
        """Stop everything and return when all processes are gone: first those that use the servers."""
        stop_all(service.process for service in self._services if service.process is not None)
        self._servers.stop()

    def environ(self) -> dict[str, str]:
        """Return the environment of the gateway and the triggers. What was given comes first, except for the URLs."""
        return {
            **kept_keys(self._state.keys),
            "PUBLIC_URL": self.url,
            "OUTBOX_DIR": str(self._state.outbox),
            "DRAIN_S": _DRAIN_S,
            "PYTHONUNBUFFERED": "1",
            "METRICS": "prometheus",
            **{name: value for name, value in self._given.items() if value},
            **self._servers.urls.to_environ(),
            "HOST": self._host,
            "PORT": str(self._port),
        }

    def _prepare(self, environ: Mapping[str, str]) -> None:
        urls = self._servers.urls
        try:
            check_settings(load_template().functions.values(), environ)
            prepare(Settings(urls.postgres, urls.mongodb, urls.amqp))
        except (InvalidSettings, InvalidTemplate) as error:
            raise ServerFailed(str(error), "Correct it and start again.") from error
        except NotPrepared as error:
            raise ServerFailed(error.what, error.advice) from error

    def _all(self) -> list[Watched]:
        return [*self._servers.ours, *self._services]

    def _look_after(self, watch: _Watch, stopping: Stopping) -> None:
        now = time.monotonic()
        process = watch.what.process
        if watch.start_at is None and process is not None and process.exit_status is not None:
            if now - watch.started_at > _STEADY_S:
                watch.pause_s = _FIRST_PAUSE_S
            watch.start_at = now + watch.pause_s
            self._logger.warning(
                "a process ended and is started again",
                extra={"who": watch.what.name, "exit_status": process.exit_status, "in_s": watch.pause_s},
            )
            watch.pause_s = min(watch.pause_s * 2, _LONGEST_PAUSE_S)
        if watch.start_at is not None and now >= watch.start_at:
            watch.start_at = None
            watch.started_at = now
            try:
                watch.what.start_again(stopping)
            except ServerFailed as error:
                # It has ended, so the next look finds that and waits longer.
                self._logger.error(str(error))  # noqa: TRY400  # the traceback says nothing more
            else:
                self._logger.info("a process runs again", extra={"who": watch.what.name})
                self._announce(ready=True)

    def _announce(self, *, ready: bool) -> None:
        pids = {what.name.lower(): what.process.pid for what in self._all() if what.process is not None}
        urls = self._servers.urls if ready else None
        self._state.announce(Running(os.getpid(), self.url, ready, urls, pids, self.metrics))


def _url(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _metrics_ports(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the ports for metrics: METRICS_PORT and the next, or free ones; none without METRICS=prometheus.

    Raises ServerFailed.
    """
    if environ["METRICS"] != "prometheus":
        return {}
    host = environ.get("METRICS_HOST") or DEFAULT_HOST
    given = environ.get("METRICS_PORT") or "0"
    if not given.isdecimal() or int(given) > _LAST_PORT - 1:
        raise ServerFailed(f"METRICS_PORT is {given!r}.", f"Set METRICS_PORT to a number up to {_LAST_PORT - 1}.")
    first = int(given)
    if not first:
        return {"gateway": free_port(host), "triggers": free_port(host)}
    advice = "Set METRICS_PORT to another; the next one has to be free, too. Without it free ones are found."
    for port in (first, first + 1):
        _check_port(host, port, advice)
    return {"gateway": first, "triggers": first + 1}


def _port(host: str, given: str) -> int:
    """Return the port to use, a free one for 0. Raises ServerFailed."""
    if not given.isdecimal() or int(given) > _LAST_PORT:
        raise ServerFailed(f"PORT is {given!r}, which is no port.", f"Set PORT to a number up to {_LAST_PORT}.")
    if given == "0":
        return free_port(host)
    _check_port(host, int(given), "Set PORT to another, as in `make run PORT=8081`, or PORT=0 for any free one.")
    return int(given)


def _check_port(host: str, port: int, advice: str) -> None:
    """Raise ServerFailed if nobody can listen there."""
    try:
        try_port(host, port)
    except OSError as error:
        raise ServerFailed(f"Port {port} of {host} cannot be used: {error.strerror}.", advice) from error


def _seconds(variable: str, given: str) -> int:
    if not given.isdecimal():
        raise ServerFailed(f"{variable} is {given!r}.", f"Set {variable} to a whole number of seconds.")
    return int(given)
