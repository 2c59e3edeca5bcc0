"""Serve the functions of one package behind the Lambda Invoke API: `python -m infra.host auth`.

On SIGTERM or SIGINT it lets no new callers in, ends each connection with an answer, tells the functions under way that
they have DRAIN_S seconds left, and ends when they have. A second SIGINT ends it at once.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import uvicorn

from functions.shared.environment import environment
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, Positive, from_env
from infra.host.app import InvokeApi
from infra.host.calls import Calls
from infra.metrics import start_metrics
from infra.serving import end_well_on_signals, log_libraries
from infra.settings import check_settings
from infra.template import TEMPLATE, InvalidTemplate, load_template

# What a function gets, beyond DRAIN_S, to put its things away.
_GRACE_S = 5
# A connection that we close while a caller begins a call on it is a lost call. So that is left to the caller.
_KEEP_ALIVE_S = 24 * 60 * 60
# For so long, at the end, calls come in on connections that there are. Who calls often has then been told of the end on
# each of his, and what is left to be closed is what nobody uses.
_LEAVE_S = 1.0
_BACKLOG = 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a host needs itself; its functions read the rest of the environment.

    More than MAX_CALLS calls at once are refused. A function is called by its name in template.yaml, with or without
    FUNCTION_PREFIX before it.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 9000
    max_calls: Positive = 100
    drain_s: Annotated[int, msgspec.Meta(ge=0)] = 25
    function_prefix: str = ""


class HostServer(uvicorn.Server):
    """uvicorn's server, which asks the functions under way to hurry when it ends."""

    def __init__(self, calls: Calls, api: InvokeApi, settings: Settings) -> None:
        config = uvicorn.Config(
            api.app(),
            host=settings.host,
            port=settings.port,
            # As in the gateway, and whatever else is installed: httptools takes heads of any length.
            http="h11",
            timeout_keep_alive=_KEEP_ALIVE_S,
            backlog=_BACKLOG,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=settings.drain_s + _GRACE_S,
        )
        super().__init__(config)
        self._api = api
        self._calls = calls
        self._drain_s = settings.drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        for server in self.servers:
            server.close()
        self._api.leave()
        deadline = time.monotonic() + _LEAVE_S
        while self.server_state.connections and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(0.05)
        self._calls.end(self._drain_s)
        await super().shutdown(sockets)


def main(template_path: Path = TEMPLATE, arguments: Sequence[str] | None = None) -> None:
    """Run until SIGINT or SIGTERM."""
    end_well_on_signals()
    try:
        logger = get_logger("host")
        template = load_template(template_path)
        package = _package(sorted({function.package for function in template.functions.values()}), arguments)
        environ = environment()
        settings = from_env(Settings, environ)
        functions = {name: function for name, function in template.functions.items() if function.package == package}
        check_settings(functions.values(), environ)
        metrics = start_metrics(environ)
    except (InvalidSettings, InvalidTemplate, Unavailable) as error:
        sys.exit(f"The host cannot start: {error}")
    log_libraries(logger)
    calls = Calls(functions, prefix=settings.function_prefix, new_id=_new_id, logger=logger, metrics=metrics)
    api = InvokeApi(calls, max_calls=settings.max_calls, new_id=_new_id, logger=logger)
    try:
        HostServer(calls, api, settings).run()
    finally:
        if calls.running:
            logger.error("still running, and given up", extra={"calls": calls.running})
            logging.shutdown()
            os._exit(0)  # whatever the function left behind does not hold us up


def _package(packages: Sequence[str], arguments: Sequence[str] | None) -> str:
    parser = argparse.ArgumentParser(prog="python -m infra.host", description=__doc__)
    parser.add_argument("package", choices=packages, help="the folder under functions/")
    package: str = parser.parse_args(arguments).package
    return package


def _new_id() -> str:
    return str(uuid.uuid4())


if __name__ == "__main__":
    main()
