"""Read the bodies of requests as they come: none too large, none too slow, and not too many bytes in memory."""

import math
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from functions.shared.problems import BadRequest, Unavailable
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from infra.gateway.problems import BodyTooLarge, BodyTooSlow
from infra.gateway.requests import HttpRequest

# Bodies up to this length need not wait for memory: there is one for each connection at most.
SMALL_BODY_BYTES = 64 * 1024

# h11 lets 20 digits pass too; int() would refuse thousands.
_LENGTH = re.compile(r"[0-9]{1,20}")


class Memory:
    """How many bytes all readers together may hold. Who cannot have more waits in line, and so does its client."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._held_bytes = 0
        self._line: deque[anyio.Event] = deque()

    @property
    def held_bytes(self) -> int:
        """How many bytes are held now."""
        return self._held_bytes

    def has_room_for(self, count: int) -> bool:
        """Whether `count` bytes are free, and nobody waits for them."""
        return not self._line and self._held_bytes + count <= self.max_bytes

    def hold(self, count: int) -> None:
        """Count bytes that are in memory from now on."""
        self._held_bytes += count

    def let_go(self, count: int) -> None:
        """Count bytes that are not in memory any more."""
        self._held_bytes -= count
        if count:
            self._call_first()

    async def wait(self, count: int) -> None:
        """Wait in line until `count` bytes are free. They stay so until the next `await`."""
        turn = anyio.Event()
        self._line.append(turn)
        try:
            while self._line[0] is not turn or self._held_bytes + count > self.max_bytes:
                await turn.wait()
                # Only the first in line is called, and it stays there until it has what it waited for.
                turn = self._line[0] = anyio.Event()
        finally:
            self._line.remove(turn)
            # It looks after us, when we hold what we waited for.
            self._call_first()

    def _call_first(self) -> None:
        if self._line:
            self._line[0].set()


class BodyReader:
    """The body of one request. What is not asked for is not read, and the client has to wait.

    `total` is its length, None if the client did not say; `received` is how much has come; `ended` says that all
    has been returned. What the last two calls returned counts as held in memory, until the end of the `with`: the one
    may still be on its way while the other is read.
    """

    def __init__(
        self, request: HttpRequest, receive: Receive, limits: Limits, memory: Memory, *, max_bytes: int
    ) -> None:
        """Begin; nothing is read yet.

        Raises:
            BadRequest: Content-Length is no length.
            BodyTooLarge: it says more than `max_bytes`.
        """
        self.total = _announced(request)
        if self.total is not None and self.total > max_bytes:
            raise BodyTooLarge(max_bytes)
        self.received = 0
        self._receive = receive
        self._limits = limits
        self._memory = memory
        self._max_bytes = max_bytes
        # Not a list of parts: a byte in an object of its own takes forty.
        self._waiting = bytearray()
        self._returned_bytes = 0  # by the last call
        self._room_bytes = 0  # reserved for what comes next
        self._held_bytes = 0  # in _waiting, in what the last two calls returned, and reserved
        self._pace_bytes = 0  # what the last call that returned anything did
        self._all_came = self.total == 0
        self._behind_s = 0.0
        self._failure: BodyTooSlow | ClientDisconnect | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keep(0)

    @property
    def ended(self) -> bool:
        """Whether the whole body has been returned."""
        return self._all_came and not self._waiting

    async def read_until(self, count: int, seconds: float) -> bytes:
        """Return the next `count` bytes, or fewer: what has come after `seconds`, or when memory is short.

        So the bytes of a slow client do not stay here. There may be none although more will come: `ended` tells.

        Raises, when all that came before has been returned:
            BodyTooSlow: the client has fallen too far behind the least speed.
            ClientDisconnect: the client has gone away.
        and at once:
            BodyTooLarge: a body without Content-Length has grown too large.
        """
        self._keep(len(self._waiting) + self._returned_bytes)
        until = anyio.current_time() + seconds
        while len(self._waiting) < count and not self._is_over and anyio.current_time() < until:
            if not self._room_bytes and not await self._make_room(count, until):
                break
            await self._wait(until)
        if not self._waiting and self._failure is not None:
            raise self._failure
        return self._take(count)

    @property
    def _is_over(self) -> bool:
        return self._all_came or self._failure is not None

    def _take(self, count: int) -> bytes:
        with memoryview(self._waiting) as waiting:
            taken = bytes(waiting[:count])
        del self._waiting[:count]
        self._keep(self._held_bytes - self._room_bytes)
        self._room_bytes = 0
        self._returned_bytes = len(taken)
        self._pace_bytes = len(taken) or self._pace_bytes
        return taken

    async def _make_room(self, count: int, until: float) -> bool:
        """Reserve memory for what comes next; False if there is none, and something to hand on, or none in time.

        Who was fast gets as much at once as a whole slice needs, else all would have a little of it and slices would be
        short. Who was slow does not, else a few slow clients would have it all.
        """
        wanted = min(
            max(1, len(self._waiting), 2 * self._pace_bytes), count - len(self._waiting), self._memory.max_bytes
        )
        if self._held_bytes and not self._memory.has_room_for(wanted):
            return False
        with anyio.CancelScope(deadline=until) as waiting:
            await self._memory.wait(wanted)
        if waiting.cancelled_caught:
            return False
        self._room_bytes = wanted
        self._keep(self._held_bytes + wanted)
        return True

    def _keep(self, count: int) -> None:
        """Hold so many bytes, no more and no less."""
        if count > self._held_bytes:
            self._memory.hold(count - self._held_bytes)
        else:
            self._memory.let_go(self._held_bytes - count)
        self._held_bytes = count

    async def _wait(self, until: float) -> None:
        """Take in one more message, if one comes before `until`."""
        message: Mapping[str, Any] | None = None
        began = anyio.current_time()
        # Only the time counts in which we wait for the client, not that in which it waits for us.
        patience = began + self._limits.body_idle_s - self._behind_s
        with anyio.CancelScope(deadline=min(until, patience)):
            message = await self._receive()
        now = anyio.current_time()
        self._behind_s += now - began
        if message is None:
            if now >= patience:
                self._failure = BodyTooSlow()
        elif message["type"] == "http.disconnect":
            self._failure = ClientDisconnect()
        else:
            self._add(message.get("body", b""))
            self._all_came = not message.get("more_body", False) or self.received == self.total

    def _add(self, part: bytes) -> None:
        self.received += len(part)
        if self.received > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        # Who is fast catches up, but saves nothing for later: else a fast beginning would pay for an hour of silence.
        self._behind_s = max(0.0, self._behind_s - len(part) / self._limits.min_body_bytes_per_s)
        self._waiting += part
        self._keep(self._held_bytes + max(0, len(part) - self._room_bytes))
        self._room_bytes = max(0, self._room_bytes - len(part))


class Bodies:
    """Makes the readers of one gateway, which share its memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Apart, because a whole body stays until it has come, and a slice goes after seconds: slow clients of the one
        # must not stop the other.
        self._slices = Memory(limits.max_buffered_bytes)
        self._whole = Memory(limits.max_buffered_bytes)

    def reader(self, request: HttpRequest, receive: Receive, *, max_bytes: int) -> BodyReader:
        """Return a reader for a body that is handed on in slices. Use it with `with`. Raises as BodyReader does."""
        return BodyReader(request, receive, self._limits, self._slices, max_bytes=max_bytes)

    @asynccontextmanager
    async def whole(
        self, request: HttpRequest, receive: Receive, *, max_bytes: int = MAX_BODY_BYTES
    ) -> AsyncIterator[bytes]:
        """Read the whole body, which counts as held in memory until the end of the `async with`.

        Raises as BodyReader does, and:
            BodyTooSlow: it has not all come within BODY_TIMEOUT_S.
            Unavailable: there was no memory for it for that long.
        """
        uncounted = Memory(sys.maxsize)
        reader = BodyReader(request, receive, self._limits, uncounted, max_bytes=max_bytes)
        reserved = 0
        try:
            with anyio.move_on_after(self._limits.body_timeout_s):
                parts = [await reader.read_until(SMALL_BODY_BYTES, math.inf)]
                if len(parts[0]) == SMALL_BODY_BYTES and not reader.ended:
                    # All at once: if each had a part and waited for more, they might wait for one another.
                    need = reader.total or max_bytes
                    await self._whole.wait(need)
                    self._whole.hold(need)
                    reserved = need
                while not reader.ended:
                    parts.append(await reader.read_until(max_bytes, math.inf))
            if not reader.ended:
                raise BodyTooSlow if reserved or reader.received < SMALL_BODY_BYTES else Unavailable("The service")
            yield b"".join(parts)
        finally:
            self._whole.let_go(reserved)


def _announced(request: HttpRequest) -> int | None:
    """Return how long the body is, None if the client does not say. Raises BadRequest."""
    length = request.header("content-length")
    if length is None:
        return None if request.header("transfer-encoding") is not None else 0
    if not _LENGTH.fullmatch(length):
        raise BadRequest("Content-Length must be a number.")
    return int(length)
