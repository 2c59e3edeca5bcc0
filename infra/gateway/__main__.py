"""Serve the gateway: `python -m infra.gateway`."""

import resource
import sys
import uuid
from typing import Annotated

import msgspec
import uvicorn
from aws_lambda_powertools import Logger

from functions.shared.clock import utc_now
from functions.shared.environment import environment
from functions.shared.files import GridFSFiles
from functions.shared.logs import get_logger
from functions.shared.metrics import NO_METRICS, Metrics
from functions.shared.mongo import connect_mongo
from functions.shared.once import once
from functions.shared.origins import Origin
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, from_env
from infra.endpoints import choose_functions, parse_endpoints
from infra.gateway.app import Gateway
from infra.gateway.limits import Limits
from infra.gateway.protocol import HttpServer, http_protocol
from infra.gateway.stored_files import StoredFiles
from infra.invoke import InProcessFunctions
from infra.metrics import start_metrics
from infra.serving import end_well_on_signals, log_libraries
from infra.template import InvalidTemplate, load_template

# Connections that the kernel keeps until we take them.
BACKLOG = 1024
# Files of the process beside its clients' connections: those to the servers, and some more.
OTHER_FILES = 512


class Settings(Limits, frozen=True, kw_only=True):
    """What the gateway itself needs; the functions of this process read the rest of the environment.

    FUNCTION_ENDPOINTS says which functions are in other places, as `parse_endpoints` reads it; there, each name begins
    with FUNCTION_PREFIX.
    """

    mongodb_url: str
    host: str = "127.0.0.1"
    port: int = 8080
    drain_s: Annotated[int, msgspec.Meta(ge=0)] = 25
    function_endpoints: str = ""
    function_prefix: str = ""
    cors_origin: Origin = ""


def create_gateway(settings: Settings, logger: Logger, metrics: Metrics = NO_METRICS) -> Gateway:
    """Connect everything; nothing is sent before the first request. Raises InvalidTemplate and InvalidSettings."""
    template = load_template()
    database = once(lambda: connect_mongo(settings.mongodb_url))
    functions = choose_functions(
        template.functions,
        InProcessFunctions(template.functions),
        parse_endpoints(settings.function_endpoints, template.functions),
        prefix=settings.function_prefix,
    )
    return Gateway(
        template,
        functions,
        StoredFiles({"mp3s": once(lambda: GridFSFiles(database(), "mp3s"))}),
        settings,
        clock=utc_now,
        new_id=lambda: str(uuid.uuid4()),
        logger=logger,
        cors_origin=settings.cors_origin,
        metrics=metrics,
    )


def create_server(gateway: Gateway, settings: Settings) -> HttpServer:
    """Return the server. On SIGTERM it takes no new requests and gives the running ones `drain_s` seconds."""
    config = uvicorn.Config(
        gateway,
        host=settings.host,
        port=settings.port,
        http=http_protocol(settings),
        timeout_keep_alive=settings.keep_alive_s,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=16 * 1024,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who is behind a proxy is in X-Forwarded-For, which the event carries. The address is the peer's.
        proxy_headers=False,
        timeout_graceful_shutdown=settings.drain_s,
    )
    return HttpServer(config, gateway.end_bodies)


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    end_well_on_signals()
    try:
        logger = get_logger("gateway")
        environ = environment()
        settings = from_env(Settings, environ)
        gateway = create_gateway(settings, logger, start_metrics(environ))
    except (InvalidSettings, InvalidTemplate, Unavailable) as error:
        sys.exit(f"The gateway cannot start: {error}")
    log_libraries(logger)
    _allow_files(settings.max_connections + BACKLOG + OTHER_FILES, logger)
    create_server(gateway, settings).run()


def _allow_files(wanted: int, logger: Logger) -> None:
    """Let this process open as many files as its connections may need: each is one, and many systems give 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("the system allows too few open files", extra={"wanted": wanted, "allowed": allowed})


if __name__ == "__main__":
    main()
