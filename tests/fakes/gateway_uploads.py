"""The function upload as the gateway sees it, and a client whose body comes as a test wants it to."""

import base64
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import httpx

from infra.gateway.app import Gateway
from tests.fakes.gateway import TOKEN, FakeFunctions

GONE = "the client goes away"
SILENT = "nothing more comes"


class FakeUploads(FakeFunctions):
    """Keeps the bytes of one upload, `u1`, by the rules of slices; `refuse` may answer an event in its place."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.refuse: Callable[[Any], Any] = lambda event: None
        self.content = b""
        self.deleted = False
        self._lock = threading.Lock()

    @property
    def events(self) -> list[Any]:
        """The events of upload, without those of the authorizer."""
        return [event for name, event in self.calls if name == "UploadFunction"]

    @property
    def requests(self) -> list[str]:
        """The methods and paths of the events, with the state of each slice."""
        return [" ".join([event["httpMethod"], event["path"], *slice_of(event)[3:]]) for event in self.events]

    @property
    def slices(self) -> list[tuple[str, ...]]:
        """What the header of each slice says."""
        return [parts for event in self.events if (parts := slice_of(event))]

    def _answer(self, event: Any) -> Any:
        with self._lock:
            if (refusal := self.refuse(event)) is not None:
                return refusal
            if event["httpMethod"] == "DELETE":
                self.deleted = True
                return {"statusCode": 204}
            if event["httpMethod"] == "PATCH":
                return self._append(event)
            if event["path"] == "/v1/uploads":
                return answer(201, Location="/v1/uploads/u1", **{"Upload-Offset": "0", "Upload-Expires": "soon"})
            return answer(202, Location="/v1/conversions/u1")

    def _append(self, event: Any) -> Any:
        body = body_of(event)
        offset = int(header_of(event, "upload-offset") or 0)
        if parts := slice_of(event):
            offset += int(parts[1])
            assert len(body) <= 4 * 1024 * 1024
        assert offset <= len(self.content), "a slice is missing"
        self.content = self.content[:offset] + body
        return answer(204, **{"Upload-Offset": str(len(self.content)), "Upload-Expires": "later"})


class Client:
    """Sends one request straight into ASGI. `sent_bytes` is what the gateway has taken so far."""

    def __init__(self, method: str, path: str, body: Sequence[Any], headers: dict[str, str] | None = None) -> None:
        """`body` has bytes, seconds to wait, functions to call, GONE and SILENT. It ends after its last part."""
        self.sent_bytes = 0
        self._body = list(body)
        self._started: dict[str, Any] = {}
        self._received = b""
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in (TOKEN | (headers or {})).items()],
            "client": ("203.0.113.9", 4711),
            "server": ("127.0.0.1", 8080),
        }

    async def exchange(self, gateway: Gateway) -> httpx.Response | None:
        """Return the answer; None if there was none, for the client has gone."""
        await gateway(self._scope, self._receive, self._send)
        if not self._started:
            return None
        headers = [(name.decode(), value.decode()) for name, value in self._started["headers"]]
        return httpx.Response(self._started["status"], headers=headers, content=self._received)

    async def _receive(self) -> Any:
        while self._body:
            # A reader that stops waiting must not lose what comes next.
            part = self._body[0]
            if part == GONE:
                return {"type": "http.disconnect"}
            if part == SILENT:
                await anyio.sleep_forever()
            elif isinstance(part, bytes):
                self._body.pop(0)
                self.sent_bytes += len(part)
                return {"type": "http.request", "body": part, "more_body": bool(self._body)}
            elif callable(part):
                self._body.pop(0)
                part()
            else:
                until = anyio.current_time() + part
                try:
                    await anyio.sleep_until(until)
                finally:
                    self._body[0] = max(0.0, until - anyio.current_time())
                self._body.pop(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._started = message
        else:
            self._received += message["body"]


def exchange(gateway: Gateway, method: str, path: str, body: Sequence[Any], **headers: str) -> httpx.Response:
    """Send one request that is answered. `headers` have _ for -."""
    response = anyio.run(Client(method, path, body, dashed(headers)).exchange, gateway)
    assert response is not None
    return response


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def answer(status: int, body: str = "", **headers: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": headers, "body": body}


def problem(status: int, code: str) -> dict[str, Any]:
    body = f'{{"type": "/problems/{code}"}}'
    return answer(status, body, **{"Content-Type": "application/problem+json"})


def body_of(event: Any) -> bytes:
    return base64.b64decode(event["body"] or "")


def header_of(event: Any, name: str) -> str | None:
    return next((value for key, value in event["headers"].items() if key.lower() == name.lower()), None)


def slice_of(event: Any) -> tuple[str, ...]:
    """Return the four parts of X-Body-Slice, or none."""
    header = header_of(event, "x-body-slice")
    return tuple(header.split(";")) if header else ()
