"""HTTP on the wire: uvicorn's protocol, made to hold out against clients that are slow, broken or hostile.

Whatever it refuses gets a problem as everywhere else, and the connection ends. See `Limits` for the limits.
"""

import asyncio
import functools
import http
import logging
import socket
import time
from collections.abc import Callable
from typing import Any, cast

import h11
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from functions.shared.problems import BadRequest, Problem, Unavailable
from infra.gateway.answers import problem_answer
from infra.gateway.closing import LingeringTransport
from infra.gateway.limits import MAX_HEAD_BYTES, Limits
from infra.gateway.problems import HeadTooSlow

# Every chunk of a body costs h11 the same, be it of one byte: 20 µs. A quarter of a megabyte sent as such chunks would
# hold up everybody for a second.
FREE_CHUNKS = 1000
LEAST_CHUNK_BYTES = 128

# Refused connections that wait for their clients to read the answer.
MAX_LINGERING = 200

# What the kernel may hold that is not yet on its way.
UNSENT_BYTES = 256 * 1024

# Long bodies that are still coming when the server ends are given up this long before the others.
LAST_SLICES_S = 5.0
LAST_WORDS_S = 1.0

_NOTICE_EVERY_S = 60

_CLOSE = (b"connection", b"close")


def http_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Return what uvicorn's server of one port makes for each of its connections."""
    crowd = Crowd(limits.max_connections)
    return cast("type[asyncio.Protocol]", functools.partial(HttpProtocol, limits=limits, crowd=crowd))


class HttpProtocol(H11Protocol):
    """One connection.

    It is `waiting` until the head of a request is there, and again after the answer; only then can it be closed to
    make room.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        crowd: "Crowd",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Connection(config.h11_max_incomplete_event_size, self._bad_request)
        self.app = self._call_app
        self._limits = limits
        self._crowd = crowd
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        self._wire = LingeringTransport(
            transport, self.loop, self._limits, is_sending=self._is_sending, on_close=self._on_close
        )
        _wait_for_the_client(transport.get_extra_info("socket"))
        super().connection_made(self._wire)
        if self._crowd.admit(self):
            self._expect_head()
        else:
            self._refuse(Unavailable("The service"))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lost = True
        self._wire.lost()
        self._on_close()
        self._crowd.forget(self)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._wire.is_closing():
            self._wire.drop(data)
            return
        super().data_received(data)
        if self._wire.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._stop_head_timer()
            self._crowd.set_busy(self)

    def on_response_complete(self) -> None:
        """Wait for the next request, if there may be one."""
        super().on_response_complete()
        if not self._wire.is_closing() and self.conn.their_state is h11.IDLE:
            self._crowd.set_waiting(self)
            if self.has_begun_head:
                self._expect_head()

    def shutdown(self) -> None:
        """End as soon as no request is being answered."""
        if not self._wire.is_closing():
            super().shutdown()

    def make_room(self) -> None:
        """End a connection that is waiting."""
        if self.has_begun_head:
            self._refuse(Unavailable("The service"))
        else:
            self._wire.close()

    def abort(self) -> None:
        """End the connection whatever its state."""
        self._wire.abort()

    @property
    def has_begun_head(self) -> bool:
        """Whether a part of a head is there. Asked only while it is waiting."""
        return bool(self.conn.trailing_data[0])

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and end the connection after it if the request has not all come by then.

        To keep it, the rest would have to be read, which may be gigabytes. A client that goes away while it is being
        answered is a ClientDisconnect; uvicorn would say nothing. And it would forget what came of a body before its
        client went away. When the server is about to end, the answer says that the connection ends with it.
        """
        cycle = self.cycle

        async def receive_all() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and cycle.body and not cycle.response_complete:
                message = {"type": "http.request", "body": bytes(cycle.body), "more_body": cycle.more_body}
                cycle.body = bytearray()
            return message

        async def send_on(message: Message) -> None:
            is_last = self.conn.their_state is h11.SEND_BODY or not cycle.keep_alive
            if message["type"] == "http.response.start" and is_last:
                message = {**message, "headers": [*message["headers"], _CLOSE]}
            await send(message)
            if self._lost and message["type"] == "http.response.body" and not cycle.response_complete:
                raise ClientDisconnect

        await self.config.loaded_app(scope, receive_all, send_on)
        if not cycle.response_complete and not cycle.disconnected:
            # It was broken off. What the client does not take must not stay in memory, and there is nothing to log.
            cycle.disconnected = True
            self._wire.abort()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            due = self.loop.time() + self._limits.head_timeout_s
            self._head_timer = self.loop.call_at(due, self._on_late_head, due)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_late_head(self, due: float) -> None:
        self._head_timer = None
        if self.loop.time() > due + 1:
            # We are late, too: what the client sent may not have been read yet.
            self._expect_head()
        elif self.has_begun_head:
            self._log("the head of a request did not come in time")
            self._refuse(HeadTooSlow())
        else:
            # Browsers open connections ahead, and would take a 408 for the answer to what they send next.
            self._wire.close()

    def _bad_request(self, error: h11.RemoteProtocolError) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # The body is broken. The application sees a client that has gone away.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._wire.close()
                return
        # What h11 says may hold a header with a token, so it is not logged.
        self._log("a client sent what is not HTTP")
        too_long = error.error_status_hint == http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        limit = f"The address and the headers may be {MAX_HEAD_BYTES} bytes together."
        self._refuse(BadRequest(limit if too_long else "This is not a request of HTTP/1.1."))

    def _refuse(self, problem: Problem) -> None:
        self._refused = True
        answer = problem_answer(problem)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        headers += [(b"X-Content-Type-Options", b"nosniff"), (b"Content-Length", str(answer.content_length).encode())]
        headers += [*self.server_state.default_headers, _CLOSE]
        lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        self._wire.write(b"\r\n".join([*lines, b"", answer.body]))
        self._wire.close()

    def _is_sending(self) -> bool:
        return self._refused or self.conn.their_state is h11.SEND_BODY

    def _on_close(self) -> None:
        self._stop_head_timer()
        self._crowd.leave(self)

    def _log(self, message: str) -> None:
        self.logger.info(message, extra={"client": self.client[0] if self.client else "-"})

    def _should_upgrade(self) -> bool:
        # uvicorn would log two warnings for each request that asks. It is answered as if it had not asked.
        return False


class HttpServer(uvicorn.Server):
    """uvicorn's server, which leaves no connection behind when it ends.

    `before_end` is called LAST_SLICES_S before the time is up in which requests may come to their ends.
    """

    def __init__(self, config: Config, before_end: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._before_end = before_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server. What did not end in time has been answered 503, and its client may read that."""
        drain_s = self.config.timeout_graceful_shutdown or 0
        last_slices = asyncio.get_running_loop().call_later(max(0, drain_s - LAST_SLICES_S), self._before_end)
        await super().shutdown(sockets)
        last_slices.cancel()
        deadline = time.monotonic() + LAST_WORDS_S
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for connection in list(self.server_state.connections):
            cast("HttpProtocol", connection).abort()
        # One turn for their ends to be seen.
        await asyncio.sleep(0.05)


class Crowd:
    """The connections of one server. When there are too many, the one that has waited for longest has to go."""

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        self._open: set[HttpProtocol] = set()
        # Without a request, in the order in which they began to wait.
        self._waiting: dict[HttpProtocol, None] = {}
        # Answered for the last time, and closing.
        self._leaving: dict[HttpProtocol, None] = {}
        self._told_at = -float(_NOTICE_EVERY_S)

    def admit(self, connection: HttpProtocol) -> bool:
        """Let a new connection in, which is then waiting; False if all others have requests."""
        if len(self._open) >= self._max_connections:
            self._tell()
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return False
            oldest.make_room()
        self._open.add(connection)
        self._waiting[connection] = None
        return True

    def set_busy(self, connection: HttpProtocol) -> None:
        """Know that a connection has a request."""
        self._waiting.pop(connection, None)

    def set_waiting(self, connection: HttpProtocol) -> None:
        """Know that a connection has no request."""
        self._waiting[connection] = None

    def leave(self, connection: HttpProtocol) -> None:
        """Know that a connection has begun to close. It does not count any more, but must not take for ever."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self._leaving[connection] = None
        if len(self._leaving) > MAX_LINGERING:
            oldest = next(iter(self._leaving))
            self.forget(oldest)
            oldest.abort()

    def forget(self, connection: HttpProtocol) -> None:
        """Know that a connection is closed."""
        self._leaving.pop(connection, None)

    def _tell(self) -> None:
        now = time.monotonic()
        if now >= self._told_at + _NOTICE_EVERY_S:
            self._told_at = now
            logging.getLogger("uvicorn.error").warning(
                "all connections are taken: those that wait are closed, or new ones refused",
                extra={"max_connections": self._max_connections},
            )


class _Connection(h11.Connection):
    """h11's reading of HTTP, which tells `on_error` of what is not HTTP, and counts the chunks of a body."""

    def __init__(self, max_head_bytes: int | None, on_error: Callable[[h11.RemoteProtocolError], None]) -> None:
        super().__init__(h11.SERVER, max_head_bytes or MAX_HEAD_BYTES)
        self._on_error = on_error
        self._chunks = 0
        self._chunked_bytes = 0

    def next_event(self) -> Any:
        """See h11.Connection. After an error nothing comes any more."""
        try:
            event = super().next_event()
            self._count(event)
        except h11.RemoteProtocolError as error:
            self._on_error(error)
            return h11.NEED_DATA
        return event

    def _count(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            if not event.http_version.startswith(b"1."):
                raise h11.RemoteProtocolError("This is another HTTP.")
            self._chunks = self._chunked_bytes = 0
        elif isinstance(event, h11.Data):
            self._chunked_bytes += len(event.data)
            self._chunks += event.chunk_end
            if self._chunks > FREE_CHUNKS + self._chunked_bytes // LEAST_CHUNK_BYTES:
                raise h11.RemoteProtocolError("The chunks are too small.")


def _wait_for_the_client(connection: socket.socket | None) -> None:
    """Take little for a connection ahead of its client, so that whether the client takes its answer can be seen.

    Else the kernel takes 4 MB for it, and then nothing for minutes if it is slow.
    """
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
