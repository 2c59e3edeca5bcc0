"""Take requests in with their bodies, and have them answered by the functions of their routes.

A body that fits into one event travels as one, exactly as on AWS. What is longer, or comes slowly, is handed on in
slices where the template allows it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from aws_lambda_powertools import Logger
from starlette.types import Receive

from infra.gateway.answers import Answer
from infra.gateway.bodies import Bodies, BodyReader
from infra.gateway.calls import Call, Calls
from infra.gateway.forms import Forms
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from infra.gateway.requests import HttpRequest
from infra.gateway.slices import SLICE_BYTES, UPLOADS, Uploads
from infra.gateway.threads import in_thread, slice_in_thread
from infra.template import Route

# A body that has come by then is not handed on in slices. It costs an upload of a slow client this much of its time.
PROMPT_S = 0.25
# What a form may hold beside the video.
FORM_BYTES = 1024 * 1024

UPLOAD = f"{UPLOADS}/{{upload_id}}"

_Way = Callable[[Call, BodyReader, bytes], Awaitable[Answer]]


class Intake:
    """Answers requests that were admitted."""

    def __init__(self, calls: Calls, limits: Limits, logger: Logger) -> None:
        self._calls = calls
        self._bodies = Bodies(limits)
        self._uploads = Uploads(calls, logger)
        forms = Forms(self._uploads, calls)
        most = limits.max_upload_bytes
        # How a long body travels, and how long it may be, by the path.
        self._ways: Mapping[str, tuple[_Way, int]] = {
            UPLOAD: (self._append, most),
            UPLOADS: (self._uploads.create, most),
            "/v1/conversions": (forms.convert, most + FORM_BYTES),
        }

    def end(self) -> None:
        """Take no more of bodies that are handed on in slices. The server is about to end."""
        self._uploads.end()

    async def answer(self, call: Call, route: Route, receive: Receive) -> Answer:
        """Return the answer of the route's function. Raises Problem and ClientDisconnect."""
        if not route.sliced or route.path not in self._ways or (route.path == UPLOAD and not _is_patch(call.request)):
            async with self._bodies.whole(call.request, receive) as whole:
                return await in_thread(self._calls.make, call, whole)
        way, max_bytes = self._ways[route.path]
        with self._bodies.reader(call.request, receive, max_bytes=max_bytes) as body:
            may_fit = body.total is None or body.total <= MAX_BODY_BYTES
            first = await body.read_until(MAX_BODY_BYTES if may_fit else SLICE_BYTES, PROMPT_S)
            if body.ended:
                # What joins uploads brings no bytes, and may take half a minute: slices must not wait for it.
                run = slice_in_thread if first else in_thread
                return await run(self._calls.make, call, first)
            return await way(call, body, first)

    async def _append(self, call: Call, body: BodyReader, first: bytes) -> Answer:
        patch = call.with_headers({"x-http-method-override": None})
        return await self._uploads.append(replace(patch, request=replace(patch.request, method="PATCH")), body, first)


def _is_patch(request: HttpRequest) -> bool:
    # https://tus.io/protocols/resumable-upload#x-http-method-override
    return (request.header("x-http-method-override") or request.method).upper() == "PATCH"
