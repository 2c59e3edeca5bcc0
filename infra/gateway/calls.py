"""Call the functions behind the routes, and say in problems what went wrong."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import anyio

from functions.shared.problems import PROBLEMS, InternalProblem, Unavailable
from infra.gateway.answers import Answer, MalformedAnswer, problem_answer, read_answer
from infra.gateway.problems import BadAnswer, BodyTooLarge, TooLargeAnswer
from infra.gateway.requests import HttpRequest, proxy_event
from infra.gateway.routing import Match, Router
from infra.gateway.threads import slice_in_thread
from infra.invoke import AnswerTooLarge, EventTooLarge, FunctionFailed, Functions, FunctionUnavailable

STAGE = "local"

# For how long the parts of a long body are tried again while a function is unavailable: a database restarts in less.
PATIENCE_S = 20.0
PAUSES_S = (0.25, 0.5, 1.0, 2.0)

UNAVAILABLE = frozenset({int(PROBLEMS[Unavailable.code].status)})

# What a request says of who sent it, rather than of what is asked for.
_OF_THE_CALLER = frozenset({"authorization", "host", "user-agent", "x-forwarded-for"})


@dataclass(frozen=True)
class Call:
    """A request that may be answered, with what the authorizer said of the caller."""

    request: HttpRequest
    authorizer: Mapping[str, str] | None

    def instead(self, method: str, path: str, headers: Mapping[str, str]) -> Self:
        """Return a call of our own by the same caller: nothing else of the request's headers is kept."""
        kept = [(name, value) for name, value in self.request.headers if name in _OF_THE_CALLER]
        request = replace(self.request, method=method, path=path, query="", headers=[*kept, *headers.items()])
        return replace(self, request=request)

    def with_headers(self, headers: Mapping[str, str | None]) -> Self:
        """Return the same call with other values of some headers, by their names in lower case; None drops one."""
        kept = [(name, value) for name, value in self.request.headers if name not in headers]
        added = [(name, value) for name, value in headers.items() if value is not None]
        return replace(self, request=replace(self.request, headers=[*kept, *added]))


class Calls:
    """Makes calls. Blocking and waiting ones may be mixed."""

    def __init__(self, router: Router, functions: Functions, binary_media_types: Sequence[str]) -> None:
        self._router = router
        self._functions = functions
        self._binary_media_types = binary_media_types

    def make(self, call: Call, body: bytes, internal: Mapping[str, str] | None = None) -> Answer:
        """Return the answer of the route's function. `internal` are headers that this gateway takes from no client.

        Raises:
            NotFound, MethodNotAllowed: there is no such route.
            BodyTooLarge, TooLargeAnswer: the event or the answer is over a limit of Lambda.
            BadAnswer, InternalProblem: the function answered nonsense, or raised.
            Unavailable: it cannot be called.
        """
        match = self._router.match(call.request.method, call.request.path)
        # No variable holds the event: of a slice it is some megabytes, and the functions let go of it early.
        try:
            answer = self._functions.invoke(match.route.function, self._event(call, match, body, internal or {}))
            return read_answer(answer, call.request.method)
        except EventTooLarge as error:
            raise BodyTooLarge from error
        except AnswerTooLarge as error:
            raise TooLargeAnswer from error
        except MalformedAnswer as error:
            raise BadAnswer from error
        except FunctionFailed as error:
            raise InternalProblem from error
        except FunctionUnavailable as error:
            raise Unavailable("The service") from error

    async def make_patiently(
        self,
        call: Call,
        body: bytes,
        internal: Mapping[str, str] | None = None,
        *,
        patience_s: float = PATIENCE_S,
        passing: Container[int] = UNAVAILABLE,
    ) -> Answer:
        """Make a call that may come twice. While the status is one that passes, try again for `patience_s`."""
        until = anyio.current_time() + patience_s
        pauses = iter(PAUSES_S)
        while True:
            try:
                answer = await slice_in_thread(self.make, call, body, internal)
            except Unavailable as problem:
                answer = problem_answer(problem)
            pause = next(pauses, PAUSES_S[-1])
            if answer.status not in passing or anyio.current_time() + pause > until:
                return answer
            await anyio.sleep(pause)

    def _event(self, call: Call, match: Match, body: bytes, internal: Mapping[str, str]) -> dict[str, Any]:
        event = proxy_event(
            call.request,
            match,
            body,
            authorizer=call.authorizer,
            binary_media_types=self._binary_media_types,
            stage=STAGE,
        )
        for name, value in internal.items():
            event["headers"][name] = value
            event["multiValueHeaders"][name] = [value]
        return event
