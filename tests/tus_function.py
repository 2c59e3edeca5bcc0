"""The function upload on fakes, called as a tus client's requests reach it."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from functions.shared.conversions import Owner
from functions.shared.logs import get_logger
from functions.upload.app import create_app
from functions.upload.deps import Deps, Limits
from tests.events import header, http_event, json_of
from tests.fakes.shared import FakeClock, FakeConversions, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox
from tests.fakes.upload import FakeIdempotencyKeys, FakeSlices, FakeUploads, FakeUsage

ANN = Owner(id="ann", email="ann@example.com")
BOB = Owner(id="bob", email="bob@example.com")
BYTES = "application/offset+octet-stream"
LIMITS = Limits(max_upload_bytes=20 * 1024**3, quota_bytes=100 * 1024**3, upload_idle=timedelta(days=1))

# A header that is None is not sent, one of two values is sent twice.
Headers = Mapping[str, str | list[str] | None]


def upload_deps(limits: Limits = LIMITS) -> Deps:
    """Return fakes for upload. Ids are numbers that count up, in 32 digits."""
    database, videos, uploads, clock = FakeDatabase(), FakeFiles(), FakeUploads(), FakeClock()
    ids = (f"{number:032x}" for number in range(1, 10_000))
    return Deps(
        conversions=FakeConversions(database),
        videos=videos,
        uploads=uploads,
        slices=FakeSlices(videos),
        usage=FakeUsage(database, uploads, clock),
        keys=FakeIdempotencyKeys(clock),
        events=FakeEvents(),
        outbox=FakeOutbox(database),
        limits=limits,
        clock=clock,
        new_id=lambda: next(ids),
        logger=get_logger("upload"),
    )


class Answer(NamedTuple):
    """What the function answered."""

    raw: Mapping[str, Any]

    @property
    def status(self) -> int:
        return int(self.raw["statusCode"])

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.header("Content-Type") == "application/problem+json"
        return str(json_of(self.raw)["type"]).removeprefix("/problems/")

    @property
    def headers(self) -> set[str]:
        """The names of the headers."""
        return {*(self.raw.get("headers") or {}), *(self.raw.get("multiValueHeaders") or {})}

    @property
    def json(self) -> Any:
        return json_of(self.raw)

    @property
    def offset(self) -> int:
        return int(self.header("Upload-Offset") or "-1")

    @property
    def upload_id(self) -> str:
        """The id of an upload that was created."""
        assert self.status == 201, self.raw
        return (self.header("Location") or "").removeprefix("/v1/uploads/")

    def header(self, name: str) -> str | None:
        return header(self.raw, name)


class Context:
    """How long one call may take yet, in milliseconds, each time that it is asked."""

    def __init__(self, *remaining_ms: int) -> None:
        self._remaining_ms = list(remaining_ms)

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms.pop(0) if self._remaining_ms else 29_000


class TusFunction:
    """Somebody who uploads by tus."""

    def __init__(self, deps: Deps, person: Owner | None = ANN) -> None:
        self.context = Context()
        self._app = create_app(lambda: deps)
        self._person = person

    def ask(
        self, method: str, upload_id: str | None = None, headers: Headers | None = None, body: object = None
    ) -> Answer:
        """Send a request, to all uploads or to one. `headers` come beside Tus-Resumable."""
        sent = {"Tus-Resumable": "1.0.0", **(headers or {})}
        values = {
            name: [value] if isinstance(value, str) else value for name, value in sent.items() if value is not None
        }
        path = "/v1/uploads" if upload_id is None else "/v1/uploads/{upload_id}"
        params = {} if upload_id is None else {"upload_id": upload_id}
        single = {name: value[-1] for name, value in values.items()}
        event = http_event(method, path, params, body, single, caller=self._person)
        return Answer(self._app({**event, "multiValueHeaders": values}, self.context))

    def post(self, body: bytes | None = None, **headers: str | list[str] | None) -> Answer:
        """Ask for a new upload. In the names of headers, _ stands for -."""
        return self.ask("POST", None, _dashed(headers), body)

    def create(self, length: int | None, **headers: str | list[str] | None) -> str:
        """Begin an upload; None defers its length."""
        lengths: Headers = {"Upload_Defer_Length": "1"} if length is None else {"Upload_Length": str(length)}
        return self.ask("POST", None, _dashed({**lengths, **headers})).upload_id

    def part(self, content: bytes) -> str:
        """Upload a part whole."""
        headers = {"Upload-Concat": "partial", "Upload-Length": str(len(content)), "Content-Type": BYTES}
        return self.ask("POST", None, headers, content).upload_id

    def patch(self, upload_id: str, offset: int, body: bytes = b"", **headers: str | list[str] | None) -> Answer:
        sent = {"Content-Type": BYTES, "Upload-Offset": str(offset), **_dashed(headers)}
        return self.ask("PATCH", upload_id, sent, body)

    def slice(
        self,
        upload_id: str,
        offset: int,
        position: int,
        body: bytes,
        ends: str = "more",
        **headers: str | list[str] | None,
    ) -> Answer:
        """Send one slice of the body of a PATCH at `offset`. `total` and `token` may be among the headers."""
        token, total = headers.pop("token", "t1"), headers.pop("total", "*")
        return self.patch(upload_id, offset, body, X_Body_Slice=f"{token};{position};{total};{ends}", **headers)

    def head(self, upload_id: str) -> Answer:
        return self.ask("HEAD", upload_id)

    def delete(self, upload_id: str) -> Answer:
        return self.ask("DELETE", upload_id)


def encoded(text: str | bytes) -> str:
    """Return text as base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _dashed(headers: Headers) -> Headers:
    return {name.replace("_", "-"): value for name, value in headers.items()}
