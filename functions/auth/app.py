"""Routes of auth. Logging out and asking who one is need a person whom the authorizer let in."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import msgspec
from chalice.app import Response

from functions.auth import rules
from functions.auth.passwords import Passwords, make_hasher
from functions.auth.postgres import PostgresSessions, PostgresUsers, connect_postgres
from functions.auth.rules import Deps
from functions.auth.settings import Settings
from functions.auth.tokens import AccessTokens, new_refresh_token, parse_keys
from functions.shared.clock import utc_now
from functions.shared.environment import environment
from functions.shared.http import JSON, HttpFunction, Unauthorized, caller, no_content, read_json
from functions.shared.logs import get_logger
from functions.shared.once import once
from functions.shared.settings import from_env

# A password of a megabyte deserves to be told that it is too long, so its body is read.
_MAX_BODY_BYTES = 2 * 1024 * 1024


class _Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    password: str


class _RefreshToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: str


def create_app(deps: Callable[[], Deps]) -> HttpFunction:
    """Return the function; `deps` is called at each request."""
    app = HttpFunction("auth")

    @app.route("/v1/auth/register", methods=["POST"])
    def register() -> Response:
        given = read_json(app.current_request, _Credentials, max_bytes=_MAX_BODY_BYTES)
        user = rules.register(given.email, given.password, deps())
        return Response(user.to_json(), headers=dict(JSON), status_code=201)

    @app.route("/v1/auth/login", methods=["POST"])
    def login() -> Response:
        given = read_json(app.current_request, _Credentials, max_bytes=_MAX_BODY_BYTES)
        return Response(rules.log_in(given.email, given.password, deps()).to_json(), headers=dict(JSON))

    @app.route("/v1/auth/refresh", methods=["POST"])
    def refresh() -> Response:
        given = read_json(app.current_request, _RefreshToken)
        return Response(rules.refresh(given.refresh_token, deps()).to_json(), headers=dict(JSON))

    @app.route("/v1/auth/logout", methods=["POST"])
    def logout() -> Response:
        rules.log_out(_session_id(app), deps())
        return no_content()

    @app.route("/v1/auth/me", methods=["GET"])
    def me() -> Response:
        user = rules.who_am_i(caller(app.current_request).id, deps())
        return Response(user.to_json(), headers=dict(JSON))

    app.answer_preflights()
    return app


def _session_id(app: HttpFunction) -> str:
    session_id: str = (app.current_request.context.get("authorizer") or {}).get("session_id", "")
    if not session_id:
        raise Unauthorized
    return session_id


def connect() -> Deps:
    """Return what the rules need, made from the environment."""
    settings = from_env(Settings, environment())
    pool = connect_postgres(settings.postgres_url)
    return Deps(
        users=PostgresUsers(pool),
        sessions=PostgresSessions(pool),
        passwords=Passwords(make_hasher(), at_once=settings.hashes_at_once),
        access_tokens=AccessTokens(parse_keys(settings.jwt_keys), timedelta(seconds=settings.access_ttl_s), utc_now),
        refresh_ttl=timedelta(seconds=settings.refresh_ttl_s),
        clock=utc_now,
        new_id=lambda: str(uuid.uuid4()),
        new_refresh_token=new_refresh_token,
        logger=get_logger("auth"),
    )


app = create_app(once(connect))
