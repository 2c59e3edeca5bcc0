"""HTTP functions: Chalice with its traps closed, and the few things every handler needs.

A handler reads the request with `read_json` and `caller`, calls a rule, and returns a Response. A Problem
it raises becomes an application/problem+json answer; anything else it raises is logged and becomes a 500
problem. A path in its Location or Content-Location may begin with /v1: what the client has before it, such as
the stage on AWS, is put in front.
"""

import functools
import os
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import pybase64
from chalice.app import Chalice, Request, Response

from functions.shared.conversions import Owner
from functions.shared.logs import conversion_keys, get_logger
from functions.shared.metrics import flush_metrics
from functions.shared.once import once
from functions.shared.origins import Origin, origin_headers
from functions.shared.problems import (
    BadRequest,
    FieldError,
    InternalProblem,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
)
from functions.shared.settings import InvalidSettings, Positive, from_env

T = TypeVar("T")
View = Callable[..., Response]

JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
NO_STORE = {"Cache-Control": "no-store"}

_WITH_PATHS = ("Location", "Content-Location")

_UNKNOWN_FIELD = re.compile(r"unknown field `(.+?)`")
_MISSING_FIELD = re.compile(r"missing required field `(.+?)`")


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every HTTP function finds in its environment. Scripts in pages of `cors_origin` may read its answers."""

    max_json_bytes: Positive = 64 * 1024
    cors_origin: Origin = ""


_settings = once(lambda: from_env(HttpSettings, os.environ))


class Unauthorized(Problem):
    """Raised when a guarded route is called without a person whom the authorizer knows."""

    code = "invalid-token"

    def __init__(self) -> None:
        super().__init__(
            "Send a valid access token as `Authorization: Bearer <token>`.", headers={"WWW-Authenticate": "Bearer"}
        )


class HttpFunction(Chalice):
    """A Chalice app that threads may share, answers problems, and takes any content type and Accept.

    Chalice keeps the current request on the app object; here it is kept for each thread by itself.
    """

    def __init__(self, name: str) -> None:
        self._local = threading.local()
        # Given os.environ, Chalice would write its name into AWS_EXECUTION_ENV.
        super().__init__(app_name=name, configure_logs=False, env={})
        self.logger = get_logger(name)

    @property
    def current_request(self) -> Request:
        """The request that this thread is answering."""
        request: Request = self._local.request
        return request

    @current_request.setter
    def current_request(self, request: Request) -> None:
        self._local.request = request

    @property
    def lambda_context(self) -> Any:
        """The Lambda context of the call that this thread is answering."""
        return self._local.context

    @lambda_context.setter
    def lambda_context(self, context: Any) -> None:
        self._local.context = context

    def route(self, path: str, **kwargs: Any) -> Callable[[View], View]:
        """Register a view as Chalice does, except that each view checks its content type itself."""
        # Without this Chalice answers 415 to everything but JSON, in a format of its own.
        kwargs.setdefault("content_types", [])
        register = super().route(path, **kwargs)

        def decorate(view: View) -> View:
            return register(self.answers_problems(view))  # type: ignore[no-any-return]

        return decorate

    def answer_preflights(self) -> None:
        """Answer OPTIONS at every path that has a route by now, unless it has one for that."""

        def allow(**_: str) -> Response:
            return no_content()

        for path, methods in list(self.routes.items()):
            if "OPTIONS" not in methods:
                self.route(path, methods=["OPTIONS"])(allow)

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one API Gateway REST (v1) proxy event. Never raises."""
        request_id = event["requestContext"]["requestId"]
        about = conversion_keys(event.get("pathParameters"))
        self.logger.thread_safe_append_keys(request_id=request_id, **about)
        try:
            answer = _as_text(self._answer(event, context))
        finally:
            self.logger.thread_safe_clear_keys()
            flush_metrics()
        # API Gateway adds nothing to the answer of a function.
        own = {"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff"}
        own |= origin_headers(_cors_origin(), preflight=event["requestContext"]["httpMethod"] == "OPTIONS")
        return {**answer, "headers": {**_with_whole_paths(answer["headers"], event["requestContext"]), **own}}

    def _answer(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        request_context = event["requestContext"]
        methods = self.routes.get(request_context["resourcePath"])
        if not methods:
            return to_response(NotFound()).to_dict()
        if request_context["httpMethod"] not in methods:
            return to_response(MethodNotAllowed(list(methods))).to_dict()
        answer: dict[str, Any] = super().__call__(_accept_anything(event), context)
        return answer

    def answers_problems(self, view: View) -> View:
        """Return the view, except that what it raises becomes an answer. `route` does this to every view."""

        # Chalice turns exceptions into answers before its middleware sees them, so this is a decorator.
        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Response:
            try:
                return view(*args, **kwargs)
            except Problem as problem:
                if problem.status >= 500:
                    self.logger.exception("refused", extra={"problem": problem.code})
                return to_response(problem)
            except Exception:
                self.logger.exception("unforeseen error")
                return to_response(InternalProblem())

        return answer


def to_response(problem: Problem) -> Response:
    """Return a problem as an answer."""
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        **problem.headers,
    }
    return Response(problem.to_json(), headers=headers, status_code=int(problem.status))


def no_content() -> Response:
    """Return a 204; a body of None would be sent as `null`."""
    return Response("", headers=dict(NO_STORE), status_code=204)


def caller(request: Request) -> Owner:
    """Return the person whom the authorizer put into the request's context. Raises Unauthorized."""
    authorizer: Mapping[str, str] = request.context.get("authorizer") or {}
    if not authorizer.get("user_id") or not authorizer.get("email"):
        raise Unauthorized
    return Owner(id=authorizer["user_id"], email=authorizer["email"])


def read_json(request: Request, kind: type[T], *, max_bytes: int | None = None) -> T:
    """Return the request's JSON body as `kind`.

    Raises:
        TooLarge: the body is over `max_bytes`, or over the setting MAX_JSON_BYTES if that is not given.
        BadRequest: it is not JSON.
        InvalidInput: a field is missing, unknown or of the wrong type.
    """
    body = raw_body(request)
    if max_bytes is None:
        max_bytes = _settings().max_json_bytes
    if len(body) > max_bytes:
        raise TooLarge(f"The largest JSON body accepted here is {max_bytes} bytes.")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(_field_error(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("Send a JSON object as the body.") from error


def raw_body(request: Request) -> bytes:
    """Return the body as bytes, empty if there is none."""
    event = request.to_original_event()
    body: str = event["body"] or ""
    # Chalice would take ten times as long, which with a slice of a video is more than all else that is done to it.
    return pybase64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()


def query(request: Request, name: str) -> str | None:
    """Return the last value of a query parameter, or None."""
    return request.query_params.get(name) if request.query_params else None


def _cors_origin() -> str:
    try:
        return _settings().cors_origin
    except InvalidSettings:
        # Whoever connects says so.
        return ""


def _with_whole_paths(headers: Mapping[str, str], context: Mapping[str, str]) -> dict[str, str]:
    return {
        name: f"{_path_before_resource(context)}{value}" if name in _WITH_PATHS and value.startswith("/") else value
        for name, value in headers.items()
    }


def _path_before_resource(context: Mapping[str, str]) -> str:
    """Return what the client's path has before that of the resource: a stage, the base path of a domain, or nothing.

    The event's own path lacks the stage but has the base path, so it is no help.
    """
    return context["path"].rstrip("/").rsplit("/", context["resourcePath"].count("/"))[0]


def _field_error(message: str) -> FieldError:
    reason, _, path = message.partition(" - at `$")
    field = path.strip("`.")
    for pattern in (_MISSING_FIELD, _UNKNOWN_FIELD):
        if found := pattern.search(reason):
            field = f"{field}.{found[1]}".lstrip(".")
    return FieldError(field=field or "(body)", message=reason)


def _accept_anything(event: dict[str, Any]) -> dict[str, Any]:
    # Chalice answers 400 to a binary body whose type the Accept header does not name.
    headers = {name: value for name, value in (event.get("headers") or {}).items() if name.lower() != "accept"}
    return {**event, "headers": {**headers, "accept": "*/*"}}


def _as_text(answer: dict[str, Any]) -> dict[str, Any]:
    # Chalice leaves bytes of JSON as they are, and Lambda cannot send them.
    return {**answer, "body": answer["body"].decode()} if isinstance(answer["body"], bytes) else answer
