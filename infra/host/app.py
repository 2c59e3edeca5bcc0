"""The Lambda Invoke API as an ASGI application.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import contextlib
import functools
import itertools
from collections.abc import Callable

import anyio
import anyio.to_thread
from aws_lambda_powertools import Logger
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.host.calls import Answer, Calls, read_event
from infra.host.documents import Refused, event_too_large, event_too_slow, no_such_invocation_type, too_many_calls
from infra.invoke import MAX_PAYLOAD_BYTES

INVOKE = "/2015-03-31/functions/{name}/invocations"

# Of an asynchronous call. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ASYNCHRONOUS_BYTES = 1024 * 1024
_LIMITS = {"RequestResponse": MAX_PAYLOAD_BYTES, "Event": MAX_ASYNCHRONOUS_BYTES, "DryRun": MAX_PAYLOAD_BYTES}

# A caller that is refused may still be sending, and would see a reset in place of the reason.
_MAX_DROPPED_BYTES = 64 * 1024 * 1024
# Callers keep connections. So that they spread over hosts that were added, one ends with every so many answers.
_ANSWERS_OF_A_CONNECTION = 200

_EXECUTED = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
_FAILED = {"X-Amz-Function-Error": "Unhandled"}


class InvokeApi:
    """Answers HTTP with calls. At most `max_calls` are under way at once.

    Others wait for `room_timeout_s`, which takes the tip off a burst, and are then refused. What they bring waits with
    their callers.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        max_calls: int,
        new_id: Callable[[], str],
        logger: Logger,
        room_timeout_s: float = 2,
        event_timeout_s: float = 30,
    ) -> None:
        self._calls = calls
        self._room = anyio.CapacityLimiter(max_calls)
        self._threads = anyio.CapacityLimiter(max_calls)
        self._new_id = new_id
        self._logger = logger
        self._room_timeout_s = room_timeout_s
        self._event_timeout_s = event_timeout_s
        self._answered = itertools.count(1)
        self._is_leaving = False

    def leave(self) -> None:
        """End each connection with its next answer: callers then know that it ends, and begin no call on it."""
        self._is_leaving = True

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(routes=[Route(INVOKE, self._invoke, methods=["POST"]), Route("/healthz", self._healthz)])

    async def _invoke(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            response = await self._answer(request, name)
        except Refused as refused:
            response = self._refusal(refused, name)
        except ClientDisconnect:
            response = Response(status_code=400)  # which nobody sees
        if next(self._answered) % _ANSWERS_OF_A_CONNECTION == 0 or self._is_leaving:
            response.headers["Connection"] = "close"
        return response

    async def _answer(self, request: Request, name: str) -> Response:
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        call = object()
        try:
            function = self._calls.named(name)
            if kind not in _LIMITS:
                raise no_such_invocation_type(kind)
            await self._take_room(call)
        except Refused:
            with contextlib.suppress(Refused):
                await self._event(request, 0)
            raise
        later: BackgroundTask | None = None
        try:
            event = await self._event(request, _LIMITS[kind])
            if kind == "RequestResponse":
                return _response(await self._run(functools.partial(self._calls.run, function), event))
            read_event([*event])
            if kind == "Event":
                # The server sees to its end before it ends itself. Unlike Lambda, we do not call again if it fails.
                later = BackgroundTask(self._run_later, call, self._calls.begin(function), event)
            headers = {"x-amzn-RequestId": self._new_id()}
            return Response(status_code=202 if later else 204, headers=headers, background=later)
        finally:
            if later is None:
                self._room.release_on_behalf_of(call)

    async def _take_room(self, call: object) -> None:
        with anyio.move_on_after(self._room_timeout_s):
            await self._room.acquire_on_behalf_of(call)
            return
        raise too_many_calls()

    async def _event(self, request: Request, limit_bytes: int) -> list[bytes]:
        """Return the event in the parts that it came in. Raises Refused, and ClientDisconnect."""
        parts: list[bytes] = []
        length = 0
        try:
            with anyio.fail_after(self._event_timeout_s):
                async for part in request.stream():
                    length += len(part)
                    if length > _MAX_DROPPED_BYTES:
                        break
                    if length <= limit_bytes:
                        parts.append(part)
        except TimeoutError as error:
            raise event_too_slow() from error
        if length > limit_bytes:
            raise event_too_large(limit_bytes)
        return parts

    async def _run(self, run: Callable[[list[bytes]], Answer], event: list[bytes]) -> Answer:
        return await anyio.to_thread.run_sync(run, event, abandon_on_cancel=True, limiter=self._threads)

    async def _run_later(self, call: object, run: Callable[[list[bytes]], Answer], event: list[bytes]) -> None:
        try:
            await self._run(run, event)
        finally:
            self._room.release_on_behalf_of(call)

    def _refusal(self, refused: Refused, name: str) -> Response:
        extra = {"function": name, "status": refused.status, "reason": str(refused)}
        self._logger.warning("call refused", extra=extra)
        headers = {"x-amzn-RequestId": self._new_id(), "x-amzn-ErrorType": refused.error_type}
        return JSONResponse(refused.document, refused.status, headers)

    async def _healthz(self, _request: Request) -> Response:
        """Say that the process lives; not if all its calls should have ended: only a new process takes others."""
        stuck = self._calls.overdue >= self._room.total_tokens
        return JSONResponse({"status": "stuck" if stuck else "ok"}, 503 if stuck else 200)


def _response(answer: Answer) -> Response:
    headers = {**_EXECUTED, "x-amzn-RequestId": answer.request_id}
    return Response(answer.content, headers=headers | (_FAILED if answer.failed else {}))
