"""One request and its answer: sends the answer, and knows for the log what was sent."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send

from infra.gateway.answers import Answer

# Before each piece the client has to take most of the one before.
PIECE_BYTES = 1024 * 1024
# Of a longer answer the end is sent only when the client has taken most of it.
SHORT_BYTES = 256 * 1024

CLIENT_CLOSED_REQUEST = 499  # nginx's word for it; it is never sent
NO_ROUTE = "-"


class BrokenOff(Exception):
    """Raised when an answer cannot be finished: the server closes the connection, so that nobody takes it for whole."""


class Downloads:
    """The long answers that are on their way. Each has megabytes in memory, also if its client takes nothing of it.

    Of too many, the one whose client has taken nothing for longest is broken off. It can ask for the rest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # How to break each off. Whose client took something goes to the end.
        self._running: dict[object, Callable[[], None]] = {}

    @contextmanager
    def one_more(self, break_off: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Count one answer, and yield what is to be called when its client has taken something."""
        if len(self._running) >= self._most:
            self._running.pop(next(iter(self._running)))()
        key = object()
        self._running[key] = break_off

        def on_taken() -> None:
            if key in self._running:
                self._running[key] = self._running.pop(key)

        try:
            yield on_taken
        finally:
            self._running.pop(key, None)


class Exchange:
    """Receives one request and sends its answer. `received_bytes`, `status` and `sent_bytes` say what was.

    `route`, and `about`, what lines of the log say of the conversion, are set when they are known.
    """

    def __init__(self, method: str, request_id: str, receive: Receive, send: Send, downloads: Downloads) -> None:
        self._method = method
        self._request_id = request_id
        self._receive = receive
        self._send = send
        self._downloads = downloads
        self.route = NO_ROUTE
        self.about: Mapping[str, str] = {}
        self.received_bytes = 0
        self.status = 0
        self.sent_bytes = 0

    async def receive(self) -> Message:
        """Return the next message of the request, as ASGI has it."""
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        return message

    async def answer(self, answer: Answer, parts: AsyncIterator[bytes] | None) -> None:
        """Send an answer, with `parts` as its body if there are any.

        Raises:
            BrokenOff: `parts` failed.
            ClientDisconnect: the client went away, or was let go because it did not read. The answer is not whole.
        """
        own = {"x-request-id", "x-content-type-options"}
        headers = [(name, value) for name, value in answer.headers if name.lower() not in own]
        headers += [("X-Content-Type-Options", "nosniff"), ("X-Request-Id", self._request_id)]
        if answer.content_length is not None:
            headers.append(("Content-Length", str(answer.content_length)))
        self.status = answer.status
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})
        body = b"" if self._method == "HEAD" else answer.body
        if parts is None and len(body) <= SHORT_BYTES:
            await self._send_body(body, more=False)
        else:
            await self._send_parts(parts or _alone(body))

    async def _send_parts(self, parts: AsyncIterator[bytes]) -> None:
        failure: Exception | None = None
        finished = False
        async with anyio.create_task_group() as group:
            break_off = group.cancel_scope.cancel

            async def watch() -> None:
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                break_off()

            group.start_soon(watch)
            try:
                with self._downloads.one_more(break_off) as on_taken:
                    async for part in parts:
                        for start in range(0, len(part), PIECE_BYTES):
                            await self._send_body(part[start : start + PIECE_BYTES], more=True)
                            on_taken()
                    await self._send_body(b"", more=False)
                finished = True
            except ClientDisconnect:
                pass
            except Exception as error:  # noqa: BLE001  # raised below, outside of the group, which would wrap it
                failure = error
            break_off()
        if failure is not None:
            raise BrokenOff(f"The answer ended after {self.sent_bytes} bytes.") from failure
        if not finished:
            raise ClientDisconnect

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self.sent_bytes += len(body)


async def _alone(body: bytes) -> AsyncIterator[bytes]:
    yield body
