"""Health over HTTP, for load balancers, monitoring and whoever deploys."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

import msgspec
from chalice.app import Response

from functions.health.checks import mongodb_check, outbox_check, postgres_check, rabbitmq_check
from functions.health.health import Health
from functions.shared.environment import environment
from functions.shared.http import JSON, HttpFunction
from functions.shared.logs import get_logger
from functions.shared.mongo import connect_mongo
from functions.shared.once import once
from functions.shared.problems import Unavailable
from functions.shared.rabbit_events import QUEUES
from functions.shared.settings import Positive, from_env

_LATER = {**JSON, "Retry-After": str(Unavailable.retry_after_s)}


class Settings(msgspec.Struct, frozen=True):
    """Where the servers are, and for how many seconds events may be owed while all is well."""

    postgres_url: str
    mongodb_url: str
    amqp_url: str
    # Three times sweep has tried to send them, then.
    owed_s: Positive = 180


def connect() -> Health:
    """Make the checks. Each connects when it is run, so a URL that cannot be used is a server that is down."""
    settings = from_env(Settings, environment())
    # What it would say is in the answer, in fewer words.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    database = once(lambda: connect_mongo(settings.mongodb_url))
    checks = {
        "postgres": postgres_check(settings.postgres_url),
        "mongodb": mongodb_check(database),
        "rabbitmq": rabbitmq_check(settings.amqp_url, QUEUES),
        "outbox": outbox_check(database, settings.owed_s),
    }
    return Health(checks, get_logger("health"))


def create_app(health: Callable[[], Health]) -> HttpFunction:
    """Make the function. `health` is called at each request for readiness."""
    app = HttpFunction("health")

    @app.route("/healthz", methods=["GET", "HEAD"])
    def lives() -> Response:
        return _json({"status": "ok"})

    @app.route("/readyz", methods=["GET", "HEAD"])
    def is_ready() -> Response:
        checks = health().look()
        if all(state == "ok" for state in checks.values()):
            return _json({"status": "ok", "checks": checks})
        return _json({"status": "unavailable", "checks": checks}, HTTPStatus.SERVICE_UNAVAILABLE, _LATER)

    return app


def _json(body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] = JSON) -> Response:
    return Response(msgspec.json.encode(body), headers=dict(headers), status_code=int(status))


app = create_app(once(connect))
