"""Bodies that do not fit into one event: they are handed on in slices, as a tus client would send them.

A slice is a PATCH of an upload with the header `X-Body-Slice: <token>;<position>;<total>;<state>`. `token` is the same
for all slices of a body, `position` says how many bytes of the body came before, `total` how many there will be (`*`
if nobody knows), and `state` is `more`, `last`, or `broken` if the rest will never come. Upload-Offset stays what the
client sent. A slice may come twice, for its answer may have been lost.

The gateway removes this header from what clients send. API Gateway does not, and there it does no harm: see
docs/security.md.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from aws_lambda_powertools import Logger
from starlette.requests import ClientDisconnect

from functions.shared.files import CHUNK_BYTES
from functions.shared.logs import conversion_keys
from functions.shared.problems import Problem, Unavailable
from infra.gateway.answers import Answer
from infra.gateway.calls import PATIENCE_S, UNAVAILABLE, Call, Calls
from infra.gateway.problems import BadAnswer
from infra.gateway.requests import BODY_SLICE_HEADER
from infra.gateway.threads import in_thread, look_at, slice_in_thread

UPLOADS = "/v1/uploads"
TUS = {"tus-resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"

# By the first a client marks requests that it may repeat, by the second it is told that one was a repeat.
KEY_HEADER = "idempotency-key"
REPLAYED_HEADER = "idempotent-replayed"

# A slice that was given up may still be worked on.
LOCKED = 423
WRONG_OFFSET = 409
# After these nobody here knows whether a try that was given up, or another request with the same key, goes on.
UNSURE = frozenset({LOCKED, *range(500, 600)})
NEVER: frozenset[int] = frozenset()

SLICE_BYTES = 4 * 1024 * 1024
# Bytes that come slowly are handed on this often, so that they are kept, and that nobody else can take the upload.
FLUSH_S = 2.0


class Source(Protocol):
    """What is handed on: a body, or the file in one. See BodyReader."""

    @property
    def total(self) -> int | None:
        """How many bytes there are in all, None if nobody knows."""

    @property
    def ended(self) -> bool:
        """Whether all have been returned."""

    async def read_until(self, count: int, seconds: float) -> bytes:
        """Return the next `count` bytes, or what has come after `seconds`, or what is left."""


class Uploads:
    """Hands bodies on to uploads."""

    def __init__(self, calls: Calls, logger: Logger) -> None:
        self._calls = calls
        self._logger = logger
        self._ending = False

    def end(self) -> None:
        """Take no more of any body: within FLUSH_S all that has come is handed on. The server is about to end."""
        self._ending = True

    async def read(self, source: Source, count: int) -> bytes:
        """Return the next `count` bytes, or what has come after FLUSH_S. Raises Unavailable after `end`."""
        if self._ending:
            raise Unavailable("The service")
        return await source.read_until(count, FLUSH_S)

    async def append(self, call: Call, source: Source, first: bytes) -> Answer:
        """Hand on `first`, the beginning of `source`, and then the rest of it, to the upload that `call` patches.

        The first slice goes out at once with what is there, and takes the upload. While the function works on a
        slice, the next one is read. Returns the answer to the last slice, or to the first that is refused. Raises
        what `source` raises, and Unavailable after `end`; all that came before has then been handed on.
        """
        offset, position, waiting = _number(call.request.header("upload-offset")), 0, first
        room = _room(offset)
        while True:
            part, waiting = waiting[:room], waiting[room:]
            is_last = source.ended and not waiting
            sending = self._send(call, part, position, source.total, "last" if is_last else "more")
            if is_last:
                return await sending
            position += len(part)
            room = _room(offset + position)
            try:
                if len(waiting) < room and not source.ended:
                    waiting += await self.read(source, room - len(waiting))
            except (Problem, ClientDisconnect):
                answer = await sending
                if not answer.is_success:
                    return answer
                await self._send(call, waiting, position, source.total, "broken")
                raise
            answer = await sending
            if not answer.is_success:
                return answer

    async def create(self, call: Call, source: Source, first: bytes) -> Answer:
        """Create an upload as `call` says, and append `source` to it. The answer is as if both was one.

        Unless it is a success, nothing is left. But with an Idempotency-Key the client finds the upload again: what
        came before the connection broke stays, and so does an upload that another request of the client has taken over.
        One that was created before is answered with its offset: there the client goes on. Raises as `append` does.
        """
        while not first and not source.ended:
            first = await self.read(source, SLICE_BYTES)
        if not first:
            return await in_thread(self._calls.make, call, b"")
        # That bytes follow is said by their type alone. A final upload must be refused for it: it takes none, and what
        # is deleted then would be a video that was finished before.
        without_body = call.with_headers({"content-type": BYTES, "upload-checksum": None})
        created = await slice_in_thread(self._calls.make, without_body, b"")
        # One that has bytes was created before, too, by a try whose answer nobody could keep.
        if created.status != 201 or created.header(REPLAYED_HEADER) or _number(created.header("upload-offset")):
            return created
        path = path_of(created)
        kept = ("content-type", "tus-resumable", "upload-checksum")
        headers = {name: value for name in kept if (value := call.request.header(name)) is not None}
        patch = call.instead("PATCH", path, {**headers, "upload-offset": "0"})
        or_after = UNSURE | {WRONG_OFFSET} if has_key(call) else NEVER
        appended = await self.kept_on_success(call, path, self.append(patch, source, first), or_after=or_after)
        return _merged(created, appended) if appended.is_success else appended

    async def kept_on_success(
        self, call: Call, path: str, work: Coroutine[Any, Any, Answer], *, or_after: frozenset[int] = NEVER
    ) -> Answer:
        """Return the answer to `work`. Unless that is a success, the upload at `path` is deleted.

        It is kept after the statuses in `or_after`, too, and if there are any, also if `work` raises.
        """
        keep = bool(or_after)
        try:
            answer = await work
            keep = answer.is_success or answer.status in or_after
            return answer
        finally:
            if not keep:
                await self._delete(call, path)

    def _send(self, call: Call, part: bytes, position: int, total: int | None, state: str) -> "asyncio.Task[Answer]":
        internal = {
            BODY_SLICE_HEADER: f"{call.request.id};{position};{'*' if total is None else total};{state}",
        }
        patience_s = 0 if self._ending else PATIENCE_S
        task = asyncio.create_task(self._calls.make_patiently(call, part, internal, patience_s=patience_s))
        task.add_done_callback(look_at)
        return task

    async def _delete(self, call: Call, path: str) -> None:
        upload_id = path.rpartition("/")[2]
        about = {"request_id": call.request.id, **conversion_keys({"upload_id": upload_id})}
        try:
            delete = call.instead("DELETE", path, TUS)
            answer = await self._calls.make_patiently(delete, b"", passing=UNAVAILABLE | {LOCKED})
        except Problem:
            self._logger.exception("an upload was not deleted", extra=about)
        else:
            if not answer.is_success:
                # It will expire.
                self._logger.warning("an upload was not deleted", extra={**about, "status": answer.status})


def has_key(call: Call) -> bool:
    """Return whether the client may repeat the request, and then finds what came of it."""
    return call.request.header(KEY_HEADER) is not None


def in_tus(answer: Answer, path: str) -> Answer:
    """Return an answer about uploads with the version of tus that is spoken, whoever answered; others as they are."""
    if not f"{path}/".startswith(f"{UPLOADS}/") or answer.header("tus-resumable"):
        return answer
    return replace(answer, headers=(*answer.headers, *TUS.items()))


def path_of(created: Answer) -> str:
    """Return the path of the upload that was created. Raises BadAnswer."""
    path = urlsplit(created.header("location") or "").path
    if not path.startswith(f"{UPLOADS}/"):
        raise BadAnswer
    return path


def _room(offset: int) -> int:
    """Return how long a slice from `offset` on may be. It ends where a chunk does, so no chunk is written twice."""
    return SLICE_BYTES - offset % CHUNK_BYTES


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 20 else 0


def _merged(created: Answer, appended: Answer) -> Answer:
    """Return the answer to a creation with what the answer to the last slice says of the upload."""
    names = ("upload-offset", "upload-expires", "content-location")
    now = tuple((name, value) for name, value in appended.headers if name.lower() in names)
    before = tuple((name, value) for name, value in created.headers if name.lower() not in names)
    return replace(created, headers=before + now)
