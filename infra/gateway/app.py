"""The gateway as an ASGI application, made with Starlette's parts: route, guard, call, answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from functions.shared.clock import Clock
from functions.shared.logs import conversion_keys
from functions.shared.metrics import (
    NO_METRICS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_UNDER_WAY,
    RESPONSE_BYTES,
    Metrics,
)
from functions.shared.problems import InternalProblem, Problem, Unavailable
from infra.gateway.answers import Answer, for_origin, problem_answer
from infra.gateway.calls import STAGE, Call, Calls
from infra.gateway.exchange import CLIENT_CLOSED_REQUEST, NO_ROUTE, Downloads, Exchange
from infra.gateway.guard import Guard
from infra.gateway.intake import Intake
from infra.gateway.limits import Limits
from infra.gateway.readiness import READYZ, Readiness
from infra.gateway.requests import HttpRequest, method_arn
from infra.gateway.routing import Router
from infra.gateway.slices import in_tus
from infra.gateway.stored_files import StoredFiles
from infra.gateway.threads import in_thread
from infra.invoke import Functions
from infra.template import Route, Template

HEALTHZ = "/healthz"
_LIVES = b'{"status":"ok"}'
# What is created at these has the id of its conversion at the end of its path.
_CREATED = ("/v1/conversions/", "/v1/uploads/")


class Gateway:
    """Answers HTTP with the functions of a template, and /healthz by itself: it says that this process lives."""

    def __init__(
        self,
        template: Template,
        functions: Functions,
        stored_files: StoredFiles,
        limits: Limits,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        logger: Logger,
        cors_origin: str = "",
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._cors_origin = cors_origin
        self._metrics = metrics
        self._stored_files = stored_files
        self._clock = clock
        self._new_id = new_id
        self._logger = logger
        self._guard = Guard(functions, template.authorizer, logger) if template.authorizer else None
        own = [Route(method, HEALTHZ, "", guarded=False) for method in ("GET", "HEAD")]
        self._router = Router([*template.routes, *own])
        self._downloads = Downloads(limits.max_downloads)
        calls = Calls(self._router, functions, template.binary_media_types)
        self._readiness = Readiness(calls)
        self._intake = Intake(calls, limits, logger)

    def end_bodies(self) -> None:
        """Take no more of long bodies, and answer that the service is not available. The server is about to end."""
        self._intake.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises only if an answer that has begun cannot be finished."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = HttpRequest.of(scope, self._new_id(), self._clock())
        exchange = Exchange(request.method, request.id, receive, send, self._downloads)
        self._metrics.add(REQUESTS_UNDER_WAY, 1)
        try:
            await self._respond(request, exchange, exchange.receive)
        except ClientDisconnect:
            exchange.status = CLIENT_CLOSED_REQUEST
        except Exception:
            exchange.status = 500  # whatever was sent of it
            self._logger.exception("the answer was broken off", extra={"request_id": request.id, **exchange.about})
            raise
        finally:
            seconds = time.perf_counter() - started
            self._log(request, exchange, seconds)
            self._measure(request, exchange, seconds)

    async def _respond(self, request: HttpRequest, exchange: Exchange, receive: Receive) -> None:
        try:
            answer, parts = await self._answer(request, exchange, receive)
            await exchange.answer(self._complete(answer, request), parts)
        except asyncio.CancelledError:
            if exchange.status:
                raise
            # The server is stopping, and has waited for this request for as long as it may.
            await exchange.answer(self._complete(problem_answer(Unavailable("The service")), request), None)

    def _complete(self, answer: Answer, request: HttpRequest) -> Answer:
        return for_origin(in_tus(answer, request.path), self._cors_origin)

    async def _answer(
        self, request: HttpRequest, exchange: Exchange, receive: Receive
    ) -> tuple[Answer, AsyncIterator[bytes] | None]:
        """Return an answer, and its parts if they come from a file. Raises ClientDisconnect."""
        try:
            request.check()
            match = self._router.match(request.method, request.path)
            exchange.route = match.route.path
            exchange.about = conversion_keys(match.parameters)
            if match.route.path == HEALTHZ:
                return _json_answer(_LIVES), None
            if match.route.path == READYZ:
                return await self._readiness.answer(request), None
            call = Call(request, await self._admit(request, match.route))
            answer = await self._intake.answer(call, match.route, receive)
            exchange.about = exchange.about or _created(answer)
            if answer.stored is None or request.method == "HEAD":
                return answer, None
            return answer, await self._stored_files.open(answer.stored)
        except ClientDisconnect:
            raise
        except Problem as problem:
            if problem.status >= 500:
                self._logger.warning(
                    "refused",
                    extra={"request_id": request.id, "problem": problem.code, **exchange.about},
                    exc_info=problem,
                )
            return problem_answer(problem), None
        except Exception:
            self._logger.exception("unforeseen error", extra={"request_id": request.id, **exchange.about})
            return problem_answer(InternalProblem()), None

    async def _admit(self, request: HttpRequest, route: Route) -> Mapping[str, str] | None:
        if not route.guarded:
            return None
        if self._guard is None:
            raise InternalProblem
        return await in_thread(self._guard.admit, request.header("authorization"), method_arn(request, STAGE))

    def _log(self, request: HttpRequest, exchange: Exchange, seconds: float) -> None:
        # The route, not the path: a path may hold the token of a download link.
        log = self._logger.debug if exchange.route in {HEALTHZ, READYZ} else self._logger.info
        log(
            "request",
            extra={
                "method": request.method,
                "path": exchange.route,
                "status": exchange.status,
                "ms": round(seconds * 1000, 1),
                "bytes": exchange.sent_bytes,
                "request_id": request.id,
                **exchange.about,
            },
        )

    def _measure(self, request: HttpRequest, exchange: Exchange, seconds: float) -> None:
        route = exchange.route
        # Of what has no route, the method is whatever somebody sent.
        method = request.method if route != NO_ROUTE else NO_ROUTE
        self._metrics.add(REQUESTS_UNDER_WAY, -1)
        self._metrics.count(REQUESTS, route=route, method=method, status=f"{exchange.status // 100}xx")
        self._metrics.observe(REQUEST_SECONDS, seconds, route=route, method=method)
        self._metrics.count(REQUEST_BYTES, exchange.received_bytes, route=route)
        self._metrics.count(RESPONSE_BYTES, exchange.sent_bytes, route=route)


def _created(answer: Answer) -> dict[str, str]:
    """Return the keys of the log's lines about a request that created an upload or a conversion."""
    path = urlsplit(answer.header("location") or "").path
    is_one = answer.status in {201, 202} and path.startswith(_CREATED)
    return conversion_keys({"conversion_id": path.rpartition("/")[2]}) if is_one else {}


def _json_answer(body: bytes) -> Answer:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(200, headers, body, len(body))
