"""/readyz, which a function answers, asked so that anybody may ask as often as he likes."""

import asyncio

import anyio
import anyio.to_thread

from functions.shared.problems import Problem, Unavailable
from infra.gateway.answers import Answer
from infra.gateway.calls import Call, Calls
from infra.gateway.requests import HttpRequest
from infra.gateway.threads import look_at

READYZ = "/readyz"

_STATUSES = frozenset({200, 503})


class Readiness:
    """Calls the function behind /readyz, once at a time: whoever asks meanwhile gets the same answer.

    It has a thread of its own. So readiness is seen while every other thread is taken, and takes none from them.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._asking: asyncio.Task[Answer] | None = None

    async def answer(self, request: HttpRequest) -> Answer:
        """Return the function's answer to GET. Raises Unavailable if it gives none: then nobody knows."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(Call(request, None).instead("GET", READYZ, {})))
            self._asking.add_done_callback(look_at)
        try:
            answer = await asyncio.shield(self._asking)
        except Problem as problem:
            raise Unavailable("The check of the servers") from problem
        if answer.status not in _STATUSES:
            raise Unavailable("The check of the servers")
        return answer

    async def _ask(self, call: Call) -> Answer:
        limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(self._calls.make, call, b"", limiter=limiter)
