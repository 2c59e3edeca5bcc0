"""Bodies that do not fit into one event, and those that come slowly."""

import contextlib
import itertools
import os
import socket
import threading
import time
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.files import CHUNK_BYTES
from infra.gateway import calls, intake, slices, threads
from infra.gateway.intake import Intake
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from infra.gateway.slices import SLICE_BYTES
from infra.invoke import FunctionFailed, FunctionUnavailable
from infra.template import load_template
from tests.fakes.gateway import REQUEST_ID, FakeFunctions, assert_problem, make_gateway, served, wait_until
from tests.fakes.gateway_uploads import GONE, SILENT, Client, FakeUploads, body_of, dashed, exchange, header_of, problem

UPLOAD = "/v1/uploads/u1"
PIECE = 256 * 1024
MOVIE = os.urandom(10 * 1024 * 1024 + 7)


@pytest.fixture
def uploads() -> FakeUploads:
    return FakeUploads()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is what these tests are about, so they wait for less."""
    monkeypatch.setattr(intake, "PROMPT_S", 0.05)
    monkeypatch.setattr(slices, "FLUSH_S", 0.1)
    monkeypatch.setattr(slices, "PATIENCE_S", 0.5)
    monkeypatch.setattr(calls, "PAUSES_S", (0.01, 0.02))


def pieces(content: bytes, size: int = PIECE) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def tus(content: bytes | None = None, offset: int = 0, **more: str) -> dict[str, str]:
    """Return the headers of a PATCH; with `content` they say how long it is."""
    length = {} if content is None else {"Content-Length": str(len(content))}
    chunked = {"Transfer-Encoding": "chunked"} if content is None else {}
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
    kind = {"Content-Type": "application/offset+octet-stream"}
    return {name.replace("-", "_"): value for name, value in (headers | kind | length | chunked | more).items()}


# One event


@pytest.mark.parametrize("length", [0, 1, 100_000, SLICE_BYTES + 1, MAX_BODY_BYTES])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_fits_and_comes_at_once_travels_as_on_aws(uploads: FakeUploads, length: int, announced: bool):
    """So the function cannot tell the laptop from Lambda, and a small video costs one call."""
    content = MOVIE[:length]

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(content), **tus(content if announced else None))

    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(length))
    assert uploads.requests == [f"PATCH {UPLOAD}"]
    assert body_of(uploads.events[0]) == content


def test_a_body_that_fits_but_comes_slowly_is_handed_on_as_it_comes(uploads: FakeUploads):
    """What has come is kept, even if the rest never comes."""
    body = [b"a", 0.2, b"b"]

    assert exchange(make_gateway(uploads), "PATCH", UPLOAD, body, **tus(b"ab")).status_code == 204
    assert uploads.content == b"ab"
    assert uploads.slices[0][1:] == ("0", "2", "more")
    assert len(uploads.slices) > 1


@pytest.mark.parametrize(
    ("method", "path", "override"),
    [("POST", UPLOAD, "DELETE"), ("PATCH", UPLOAD, "DELETE"), ("POST", UPLOAD, "")],
)
def test_a_long_body_of_what_takes_none_is_a_413(uploads: FakeUploads, method: str, path: str, override: str):
    """The override, not the method, says what is meant: a body cannot be appended by a DELETE."""
    headers = {"X_HTTP_Method_Override": override} if override else {}

    answer = exchange(make_gateway(uploads), method, path, pieces(MOVIE), **tus(MOVIE), **headers)

    assert_problem(answer, "too-large")
    assert not uploads.events


def test_every_route_that_the_template_calls_sliced_has_a_way():
    """One that was forgotten here would answer 413 to every long body."""
    ways = Intake(None, Limits(), None)._ways  # type: ignore[arg-type]

    assert {route.path for route in load_template().routes if route.sliced} == set(ways)


# Slices


@pytest.mark.parametrize("announced", [True, False])
def test_a_long_body_is_handed_on_in_slices(uploads: FakeUploads, announced: bool):
    """Each fits into one event; together they are what was sent, and the client sees one answer."""
    total = str(len(MOVIE)) if announced else "*"

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE if announced else None))

    assert uploads.content == MOVIE
    states = [("0", total, "more"), (str(SLICE_BYTES), total, "more"), (str(2 * SLICE_BYTES), total, "last")]
    assert uploads.slices == [(REQUEST_ID, *state) for state in states]
    assert {header_of(event, "upload-offset") for event in uploads.events} == {"0"}
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(MOVIE)))
    assert uploads.called().count("AuthorizerFunction") == 1


def test_slices_end_where_chunks_do(uploads: FakeUploads):
    """A chunk that is filled up later would be read and written twice."""
    uploads.content = bytes(100)

    exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE, offset=100))

    ends = [100 + int(position) for _, position, _, _ in uploads.slices[1:]]
    assert [end % CHUNK_BYTES for end in ends] == [0] * len(ends)
    assert uploads.content == bytes(100) + MOVIE


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 3 * 1024 * 1024), max_size=12),
    offset=st.sampled_from([0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES - 1]),
    announced=st.booleans(),
)
def test_however_a_body_comes_its_bytes_are_the_same(cuts: list[int], offset: int, announced: bool):
    """The network cuts where it likes."""
    uploads = FakeUploads()
    uploads.content = bytes(offset)
    edges = [0]
    for cut in cuts:
        edges.append(min(len(MOVIE), edges[-1] + cut))
    content = MOVIE[: edges[-1]]
    body = [content[start:end] for start, end in itertools.pairwise(edges)]

    headers = tus(content if announced else None, offset)
    assert exchange(make_gateway(uploads), "PATCH", UPLOAD, body, **headers).status_code == 204

    assert uploads.content == bytes(offset) + content
    assert all(part[3] == "more" for part in uploads.slices[:-1])


@pytest.mark.parametrize("beginning", [b"", b"a few bytes"])
def test_the_first_slice_goes_out_before_more_has_come(uploads: FakeUploads, beginning: bytes):
    """It takes the upload, so that a second PATCH is refused while a slow one is under way."""
    sent: list[bytes] = []
    body = [beginning, 0.2, lambda: sent.append(body_of(uploads.events[0])), b"x"]

    exchange(make_gateway(uploads), "PATCH", UPLOAD, body, **tus(beginning + b"x"))

    assert sent == [beginning]
    assert uploads.slices[0][1:] == ("0", str(len(beginning) + 1), "more")


def test_while_nothing_comes_empty_slices_keep_the_upload(uploads: FakeUploads):
    """Otherwise another request could take it over between two bytes."""
    exchange(make_gateway(uploads), "PATCH", UPLOAD, [b"x", 0.55, b"y"], **tus(b"xy"))

    assert uploads.content == b"xy"
    assert 4 <= len(uploads.slices) <= 8


def test_the_next_slice_is_read_while_the_function_works_and_no_more(uploads: FakeUploads):
    """Reading ahead makes it fast; reading on would fill the memory."""
    go_on, working = threading.Event(), threading.Event()

    def slow(event: Any) -> None:
        working.set()
        assert go_on.wait(10)

    uploads.refuse = slow
    content = bytes(4 * SLICE_BYTES)
    client = Client("PATCH", UPLOAD, pieces(content), dashed(tus(content)))
    taken: list[int] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.exchange, make_gateway(uploads))
            await anyio.to_thread.run_sync(working.wait, 10)
            with anyio.fail_after(10):
                while client.sent_bytes < 2 * SLICE_BYTES:
                    await anyio.sleep(0.01)
            # Longer than a slice waits for bytes.
            await anyio.sleep(0.2)
            taken.append(client.sent_bytes)
            go_on.set()

    anyio.run(main)
    assert taken == [2 * SLICE_BYTES]
    assert len(uploads.content) == len(content)


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_client_that_cannot_patch_says_so_in_a_header(uploads: FakeUploads, method: str):
    """The function sees slices as PATCH, whatever the client can send."""
    headers = tus(MOVIE) | {"X_HTTP_Method_Override": "patch"}

    assert exchange(make_gateway(uploads), method, UPLOAD, pieces(MOVIE), **headers).status_code == 204
    assert uploads.content == MOVIE
    assert uploads.requests == [f"PATCH {UPLOAD} {state}" for state in ("more", "more", "last")]
    assert all(header_of(event, "x-http-method-override") is None for event in uploads.events)
    assert {event["resource"] for event in uploads.events} == {"/v1/uploads/{upload_id}"}


def test_a_client_cannot_send_what_only_the_gateway_may():
    """It could write over bytes that were taken in, or take another's upload for its own."""
    functions = FakeFunctions()
    sent = {"X_Body_Slice": "t;0;*;last", "X_STORED_UPLOAD": "u1"}

    exchange(make_gateway(functions), "PATCH", UPLOAD, [b"x"], **tus(b"x"), **sent)

    assert header_of(functions.event, "x-body-slice") is None
    assert header_of(functions.event, "x-stored-upload") is None


# What can go wrong


@pytest.mark.parametrize(("status", "code"), [(409, "wrong-offset"), (413, "too-large"), (423, "upload-locked")])
@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_slice_that_is_refused_ends_the_request(uploads: FakeUploads, status: int, code: str, refused: int):
    """The client learns it at once, and not after hours."""
    uploads.refuse = lambda event: problem(status, code) if len(uploads.slices) > refused else None

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE))

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{code}")
    assert len(uploads.slices) == refused + 1
    assert len(uploads.content) == refused * SLICE_BYTES


def test_a_client_that_goes_away_loses_nothing_that_came(uploads: FakeUploads):
    """It resumes where the connection broke, to the byte."""
    sent = MOVIE[: SLICE_BYTES + 5]
    client = Client("PATCH", UPLOAD, [*pieces(sent), GONE], dashed(tus(MOVIE)))

    assert anyio.run(client.exchange, make_gateway(uploads)) is None
    assert uploads.content == sent
    assert uploads.slices[-1][3] == "broken"


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("length", [1, SLICE_BYTES, MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
def test_a_client_that_goes_away_at_once_loses_nothing_either(uploads: FakeUploads, length: int, announced: bool):
    """Also what was read ahead to see whether the body fits is handed on."""
    headers = dashed(tus(MOVIE if announced else None))

    anyio.run(Client("PATCH", UPLOAD, [MOVIE[:length], 0.1, GONE], headers).exchange, make_gateway(uploads))

    assert uploads.content == MOVIE[:length]
    assert uploads.slices[-1][3] == "broken"


def test_a_client_that_is_too_slow_gets_a_408_and_keeps_what_came(uploads: FakeUploads):
    """Connections that send a byte now and then would else pile up."""
    gateway = make_gateway(uploads, limits=Limits(body_idle_s=0.3))

    answer = exchange(gateway, "PATCH", UPLOAD, [b"half", SILENT], **tus(bytes(100)))

    assert_problem(answer, "request-timeout")
    assert uploads.content == b"half"
    assert uploads.slices[-1][3] == "broken"


def test_a_server_that_ends_hands_on_what_came_and_says_come_again(uploads: FakeUploads):
    """An upload of hours cannot be waited for; nothing of it is lost."""
    gateway = make_gateway(uploads)

    answer = exchange(gateway, "PATCH", UPLOAD, [*pieces(MOVIE), gateway.end_bodies, SILENT], **tus(bytes(10**9)))

    assert_problem(answer, "unavailable")
    assert answer.headers["retry-after"]
    assert uploads.content == MOVIE
    assert uploads.slices[-1][3] == "broken"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_largest_upload_is_refused(uploads: FakeUploads, announced: bool):
    """At once if it says so itself, else when it has grown too long."""
    gateway = make_gateway(uploads, limits=Limits(max_upload_bytes=SLICE_BYTES * 2))

    answer = exchange(gateway, "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE if announced else None))

    assert str(SLICE_BYTES * 2) in assert_problem(answer, "too-large")["detail"]
    assert [part[3] for part in uploads.slices][-1:] == ([] if announced else ["broken"])


@pytest.mark.parametrize("failure", [problem(503, "unavailable"), FunctionUnavailable("no answer")])
def test_a_short_outage_costs_nobody_an_upload(uploads: FakeUploads, failure: Any):
    """MongoDB restarts; the same slice is sent again until it is taken."""
    failures = [failure] * 3

    def fail(event: Any) -> Any:
        if len(uploads.content) == SLICE_BYTES and failures:
            failure = failures.pop()
            if isinstance(failure, Exception):
                raise failure
            return failure
        return None

    uploads.refuse = fail

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE))

    assert answer.status_code == 204
    assert uploads.content == MOVIE
    assert [part[1] for part in uploads.slices] == ["0", *[str(SLICE_BYTES)] * 4, str(2 * SLICE_BYTES)]


@pytest.mark.parametrize("failure", [problem(503, "unavailable"), FunctionUnavailable("no answer")])
def test_a_long_outage_is_a_503(uploads: FakeUploads, failure: Any, monkeypatch: pytest.MonkeyPatch):
    """The client resumes later; it must not wait for ever."""
    monkeypatch.setattr(slices, "PATIENCE_S", 0.1)

    def fail(event: Any) -> Any:
        if isinstance(failure, Exception):
            raise failure
        return failure

    uploads.refuse = fail

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE))

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert {part[1] for part in uploads.slices} == {"0"}
    assert len(uploads.slices) > 2


def test_a_function_that_fails_ends_the_request(uploads: FakeUploads):
    """It would fail again; its error is in the log, and the client gets a 500 in problem+json."""

    def fail(event: Any) -> Any:
        raise FunctionFailed("UploadFunction", "KeyError", "secret")

    uploads.refuse = fail

    answer = exchange(make_gateway(uploads), "PATCH", UPLOAD, pieces(MOVIE), **tus(MOVIE))

    assert_problem(answer, "internal")
    assert len(uploads.slices) == 1


# Creation with upload


def test_a_long_body_of_a_creation_is_appended_to_what_was_created(uploads: FakeUploads):
    """The client sent one request and gets one answer: where the upload is, and how far it got."""
    headers = tus(MOVIE, Upload_Length="99999999", Upload_Metadata="filename bQ==", Upload_Checksum="sha1 abc")
    del headers["Upload_Offset"]
    uploads.refuse = lambda event: (
        {"statusCode": 204, "headers": {"Upload-Offset": "all", "Upload-Expires": "later", "Content-Location": "/c"}}
        if event["httpMethod"] == "PATCH" and (uploads._append(event) and uploads.slices[-1][3] == "last")
        else None
    )

    answer = exchange(make_gateway(uploads), "POST", "/v1/uploads", pieces(MOVIE), **headers)

    assert answer.status_code == 201
    told = ("location", "upload-offset", "upload-expires", "content-location")
    assert [answer.headers[name] for name in told] == [UPLOAD, "all", "later", "/c"]
    assert uploads.content == MOVIE
    created, *patches = uploads.events
    assert (created["httpMethod"], created["body"]) == ("POST", None)
    assert [header_of(created, name) for name in ("upload-length", "upload-metadata", "upload-checksum")] == [
        "99999999",
        "filename bQ==",
        None,
    ]
    kept = ("tus-resumable", "content-type", "upload-offset", "upload-checksum", "upload-length", "authorization")
    assert [[header_of(event, name) for name in kept] for event in patches] == [
        ["1.0.0", "application/offset+octet-stream", "0", "sha1 abc", None, "Bearer good"]
    ] * 3
    assert not uploads.deleted


def test_a_creation_that_is_refused_gets_no_bytes(uploads: FakeUploads):
    """As 413 or 403 when the storage is full."""
    uploads.refuse = lambda event: problem(403, "quota-exceeded")

    answer = exchange(make_gateway(uploads), "POST", "/v1/uploads", pieces(MOVIE), **tus(MOVIE))

    assert (answer.status_code, uploads.requests) == (403, ["POST /v1/uploads"])


def test_a_creation_that_means_something_else_gets_no_bytes(uploads: FakeUploads):
    """The function says which methods there are, as it does without a body."""
    uploads.refuse = lambda event: problem(405, "method-not-allowed")
    headers = tus(MOVIE) | {"X_HTTP_Method_Override": "PATCH"}

    answer = exchange(make_gateway(uploads), "POST", "/v1/uploads", pieces(MOVIE), **headers)

    assert (answer.status_code, uploads.requests) == (405, ["POST /v1/uploads"])
    assert header_of(uploads.event, "x-http-method-override") == "PATCH"


@pytest.mark.parametrize("kind", ["text/plain", None])
def test_a_creation_says_that_bytes_follow_whatever_their_type(uploads: FakeUploads, kind: str | None):
    """A final upload takes none: were it not refused here, its finished video would be deleted when they are."""
    headers = tus(MOVIE)
    del headers["Content_Type"]

    exchange(
        make_gateway(uploads),
        "POST",
        "/v1/uploads",
        pieces(MOVIE),
        **headers,
        **({"Content_Type": kind} if kind else {}),
    )

    assert header_of(uploads.events[0], "content-type") == "application/offset+octet-stream"
    assert {header_of(event, "content-type") for event in uploads.events[1:]} == {kind}


def test_a_creation_whose_body_turns_out_to_be_empty_has_none(uploads: FakeUploads):
    """A chunked body may end late; bytes of no type would be a 415."""
    answer = exchange(make_gateway(uploads), "POST", "/v1/uploads", [b"", 0.3, b""], Transfer_Encoding="chunked")

    assert (answer.status_code, uploads.requests) == (201, ["POST /v1/uploads"])
    assert header_of(uploads.event, "content-type") is None


@pytest.mark.parametrize("end", [GONE, SILENT])
def test_a_creation_of_whose_body_nothing_comes_creates_nothing(uploads: FakeUploads, end: str):
    client = Client("POST", "/v1/uploads", [end], {"Content-Length": "99999999"})

    anyio.run(client.exchange, make_gateway(uploads, limits=Limits(body_idle_s=0.3)))

    assert not uploads.events


def test_a_creation_whose_body_is_refused_leaves_nothing(uploads: FakeUploads):
    """The client never learned where the upload is, so nobody could use it."""
    uploads.refuse = lambda event: problem(413, "too-large") if event["httpMethod"] == "PATCH" else None

    answer = exchange(make_gateway(uploads), "POST", "/v1/uploads", pieces(MOVIE), **tus(MOVIE))

    assert (answer.status_code, uploads.deleted) == (413, True)


@pytest.mark.parametrize("end", [GONE, SILENT])
def test_a_creation_whose_client_goes_away_leaves_nothing(uploads: FakeUploads, end: str):
    client = Client("POST", "/v1/uploads", [*pieces(MOVIE), end], {"Content-Length": "99999999"})

    anyio.run(client.exchange, make_gateway(uploads, limits=Limits(body_idle_s=0.3)))

    assert uploads.requests[-2:] == [f"PATCH {UPLOAD} broken", f"DELETE {UPLOAD}"]


def test_a_location_that_cannot_be_understood_is_a_502(uploads: FakeUploads):
    """Guessing could write into somebody's upload."""
    uploads.refuse = lambda event: {"statusCode": 201, "headers": {"Location": "https://x.example/elsewhere"}}

    assert_problem(exchange(make_gateway(uploads), "POST", "/v1/uploads", pieces(MOVIE), **tus(MOVIE)), "bad-answer")


# What the gateway answers itself


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PATCH", UPLOAD, {"Authorization": "Bearer bad"}, 401),
        ("PUT", UPLOAD, {}, 405),
        ("GET", "/v1/uploads", {}, 405),
        ("PATCH", UPLOAD, {"Content-Length": "1" * 19}, 413),
        ("POST", "/v1/uploads/u1/more", {}, 404),
    ],
)
def test_a_refusal_of_an_upload_says_the_version_of_tus(
    uploads: FakeUploads, method: str, path: str, headers: dict[str, str], status: int
):
    """The protocol wants it in every answer, and a client may take one without it for somebody else's."""
    answer = anyio.run(Client(method, path, [b""], headers).exchange, make_gateway(uploads))

    assert answer is not None
    assert (answer.status_code, answer.headers["tus-resumable"]) == (status, "1.0.0")


@pytest.mark.parametrize("path", ["/v1/uploadsx", "/v1/conversions", "/healthz"])
def test_other_answers_say_nothing_of_tus(uploads: FakeUploads, path: str):
    assert "tus-resumable" not in exchange(make_gateway(uploads), "GET", path, [b""]).headers


def test_what_the_function_says_of_tus_is_said_once(uploads: FakeUploads):
    """Twice would be joined to a version that nobody speaks."""
    uploads.refuse = lambda event: {"statusCode": 204, "headers": {"Tus-Resumable": "1.0.0"}}

    told = exchange(make_gateway(uploads), "PATCH", UPLOAD, [b"x"], **tus(b"x")).headers.get_list("tus-resumable")

    assert told == ["1.0.0"]


# Many at once


def test_only_so_many_slices_are_worked_on_at_once(uploads: FakeUploads, monkeypatch: pytest.MonkeyPatch):
    """Each is in memory several times; the others wait their turn, and all get theirs."""
    monkeypatch.setattr(threads, "MAX_SLICES", 2)
    busy: list[int] = []
    running = 0
    lock = threading.Lock()

    class Crowd(FakeUploads):
        def invoke(self, function_name: str, event: Any) -> Any:
            nonlocal running
            if function_name != "UploadFunction":
                return super().invoke(function_name, event)
            with lock:
                running += 1
                busy.append(running)
            time.sleep(0.02)
            with lock:
                running -= 1
            return {"statusCode": 204}

    gateway = make_gateway(Crowd())
    content = bytes(2 * SLICE_BYTES)
    headers = dashed(tus(content))
    statuses: list[int] = []

    async def upload() -> None:
        answer = await Client("PATCH", UPLOAD, pieces(content), headers).exchange(gateway)
        assert answer is not None
        statuses.append(answer.status_code)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(upload)

    anyio.run(main)
    assert statuses == [204] * 8
    assert max(busy) == 2


def test_a_deploy_interrupts_an_upload_and_loses_nothing_of_it(uploads: FakeUploads):
    """SIGTERM comes in the middle of a body of hours: the client is told to come again, and goes on where it was."""
    sent = MOVIE[:100_000]
    lines = [f"PATCH {UPLOAD} HTTP/1.1", "Host: x", "Authorization: Bearer good"]
    lines += [f"{name}: {value}" for name, value in dashed(tus(bytes(10**9))).items()]
    with contextlib.ExitStack() as client:
        with served(make_gateway(uploads), drain_s=1) as port:
            connection = client.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + sent)
            wait_until(lambda: uploads.content == sent)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer.lower()
    assert uploads.content == sent
    assert uploads.slices[-1][3] == "broken"


def test_slices_do_not_wait_for_what_joins_uploads(monkeypatch: pytest.MonkeyPatch):
    """A POST without bytes may take half a minute; a few of those would stop everybody's uploads."""
    monkeypatch.setattr(threads, "MAX_SLICES", 1)
    joining, go_on = threading.Event(), threading.Event()

    class Joiner(FakeUploads):
        def invoke(self, function_name: str, event: Any) -> Any:
            if event.get("httpMethod") == "POST":
                joining.set()
                assert go_on.wait(10)
            return super().invoke(function_name, event)

    uploads = Joiner()
    gateway = make_gateway(uploads)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(Client("POST", "/v1/uploads", [b""]).exchange, gateway)
            await anyio.to_thread.run_sync(joining.wait, 10)
            with anyio.move_on_after(5):
                await Client("PATCH", UPLOAD, [b"x"], dashed(tus(b"x"))).exchange(gateway)
            go_on.set()

    anyio.run(main)
    assert uploads.requests == [f"PATCH {UPLOAD}", "POST /v1/uploads"]
