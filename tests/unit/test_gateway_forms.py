"""Forms that do not fit into one event: curl -F video=@movie.mp4 with any movie."""

import base64
import itertools
import os
from typing import Any
from urllib.parse import parse_qsl

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.forms import MAX_FIELD_BYTES
from functions.upload.metadata import MAX_METADATA_BYTES
from infra.gateway import calls, forms, intake, slices
from infra.gateway.limits import Limits
from infra.gateway.slices import SLICE_BYTES
from tests.fakes.gateway import assert_problem, make_gateway
from tests.fakes.gateway_uploads import (
    GONE,
    SILENT,
    Client,
    FakeUploads,
    answer,
    body_of,
    dashed,
    exchange,
    header_of,
    problem,
)

UPLOAD = "/v1/uploads/u1"
CONVERSIONS = "/v1/conversions"
PIECE = 256 * 1024
MOVIE = b"\x00\x00\x00\x18ftypmp42" + os.urandom(10 * 1024 * 1024 + 7)
TYPE = "multipart/form-data; boundary=cut"
END = b"--cut--\r\n"
TAKEN = ["POST /v1/uploads", *[f"PATCH {UPLOAD} {state}" for state in ("more", "more", "last")], f"POST {CONVERSIONS}"]


@pytest.fixture
def uploads() -> FakeUploads:
    return FakeUploads()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is what some of these tests are about, so they wait for less."""
    monkeypatch.setattr(intake, "PROMPT_S", 0.05)
    monkeypatch.setattr(slices, "FLUSH_S", 0.1)
    monkeypatch.setattr(slices, "PATIENCE_S", 0.5)
    monkeypatch.setattr(calls, "PAUSES_S", (0.01, 0.02))


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def pieces(content: bytes, size: int = PIECE) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def headers(content: bytes) -> dict[str, str]:
    return {"Content_Type": TYPE, "Content_Length": str(len(content))}


def post(uploads: FakeUploads, form: bytes, **more: str) -> Any:
    return exchange(make_gateway(uploads), "POST", CONVERSIONS, pieces(form), **headers(form), **more)


def metadata(uploads: FakeUploads) -> str:
    key, _, value = (header_of(uploads.events[0], "upload-metadata") or "").partition(" ")
    assert key == "filename"
    return base64.b64decode(value).decode()


def test_a_form_that_fits_travels_as_on_aws(uploads: FakeUploads):
    """The function cannot tell the laptop from Lambda."""
    form = part("video", MOVIE[:1_000_000], "m.mp4") + END

    assert post(uploads, form).status_code == 202
    assert uploads.requests == [f"POST {CONVERSIONS}"]
    assert body_of(uploads.events[0]) == form


def test_the_video_in_a_long_form_is_stored_while_it_comes_and_then_converted(uploads: FakeUploads):
    """The client sent one form, and gets the answer that a short one gets."""
    form = part("quality", b"v0") + part("video", MOVIE, "Grüße.mp4") + part("title", "Ä&=".encode()) + END

    taken = post(uploads, form, User_Agent="curl/8")

    assert (taken.status_code, taken.headers["location"]) == (202, "/v1/conversions/u1")
    assert uploads.content == MOVIE
    assert uploads.requests == TAKEN
    assert metadata(uploads) == "Grüße.mp4"
    created, *patches, converted = uploads.events
    assert (header_of(created, "upload-defer-length"), created["body"]) == ("1", None)
    assert [header_of(event, "upload-offset") for event in patches] == ["0"] * 3
    assert {header_of(event, "content-type") for event in patches} == {"application/offset+octet-stream"}
    assert {each[2] for each in uploads.slices} == {"*"}
    assert header_of(converted, "x-stored-upload") == "u1"
    assert header_of(converted, "content-type") == "application/x-www-form-urlencoded"
    assert parse_qsl(body_of(converted).decode()) == [("quality", "v0"), ("title", "Ä&=")]
    assert all(header_of(event, "user-agent") == "curl/8" for event in uploads.events)
    assert all(event["requestContext"]["authorizer"]["user_id"] == "u1" for event in uploads.events)
    assert uploads.called().count("AuthorizerFunction") == 1


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 2 * 1024 * 1024), max_size=12), epilogue=st.binary(max_size=10))
def test_however_a_form_comes_the_video_is_the_same(cuts: list[int], epilogue: bytes):
    """The network cuts also within a boundary."""
    uploads = FakeUploads()
    form = part("a", b"1") + part("video", MOVIE, "m.mp4") + part("b", b"2") + b"--cut--\r\n" + epilogue
    edges = sorted({0, len(form), len(form) - 5, *(edge for edge in itertools.accumulate(cuts) if edge < len(form))})
    body = [form[start:end] for start, end in itertools.pairwise(edges)]

    assert exchange(make_gateway(uploads), "POST", CONVERSIONS, body, **headers(form)).status_code == 202
    assert uploads.content == MOVIE
    assert parse_qsl(body_of(uploads.events[-1]).decode()) == [("a", "1"), ("b", "2")]


def test_a_short_form_that_comes_slowly_is_taken_in_too(uploads: FakeUploads):
    """A phone on a bad line sends a few hundred kilobytes for minutes."""
    form = part("video", MOVIE[:5000], "m.mp4") + END
    body = [form[:20], 0.15, form[20:100], 0.15, form[100:3000], 0.25, form[3000:]]

    taken = exchange(make_gateway(uploads), "POST", CONVERSIONS, body, **headers(form))

    assert taken.status_code == 202
    assert uploads.content == MOVIE[:5000]


@pytest.mark.parametrize(
    ("filename", "kept"),
    [("", ""), ("../../etc/passwd", "passwd"), ("C:\\v\\m.mp4", "m.mp4"), ("é" * 3000 + ".mp4", "é" * 700)],
)
def test_any_name_fits_into_the_header_of_an_upload(uploads: FakeUploads, filename: str, kept: str):
    """What is refused there would be accepted in a short form."""
    form = part("video", MOVIE, filename) + END

    assert post(uploads, form).status_code == 202
    assert metadata(uploads) == kept


def test_headers_of_uploads_that_a_form_was_sent_with_mean_nothing(uploads: FakeUploads):
    """A form is a form: its sender cannot make the upload behind it a part of another."""
    form = part("video", MOVIE, "m.mp4") + END

    sent = {"Upload_Concat": "partial", "Upload_Length": "3", "Upload_Checksum": "md5 x", "X_HTTP_Method_Override": ""}
    assert post(uploads, form, **sent).status_code == 202
    for event in uploads.events[:-1]:
        assert [header_of(event, name) for name in ("upload-concat", "upload-length", "upload-checksum")] == [None] * 3


# Refusals


def test_what_evidently_is_no_video_is_refused_before_it_is_sent(uploads: FakeUploads):
    """Nobody should send 5 GB to learn that it is an archive."""
    form = part("video", b"PK\x03\x04" + MOVIE, "m.zip")
    client = Client("POST", CONVERSIONS, [*pieces(form), SILENT], {"Content-Type": TYPE, "Content-Length": "99999999"})

    refused = anyio.run(client.exchange, make_gateway(uploads))

    assert refused is not None
    assert_problem(refused, "unsupported-media")
    assert client.sent_bytes <= SLICE_BYTES + PIECE
    assert not uploads.events


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (part("video", MOVIE, "a.mp4") + part("video", MOVIE, "b.mp4") + END, "bad-multipart"),
        (part("video", MOVIE, "a.mp4") + b"--other--", "bad-multipart"),
        (part("video", MOVIE, "a.mp4") + part("quality", b"x" * (MAX_FIELD_BYTES + 1)) + END, "too-large"),
        (part("video", MOVIE, "a.mp4") + part("a", b"") + part("a", b"") + END, "invalid-input"),
        (part("video", MOVIE, "a.mp4") + part("x" * 9000, b"") + END, "too-large"),
        (part("video", MOVIE, "a.mp4") + b"".join(part(f"f{n}", b"") for n in range(10_000)) + END, "too-large"),
    ],
    ids=["two videos", "another boundary", "a long field", "a field twice", "a long name", "many fields"],
)
def test_a_form_that_turns_out_wrong_leaves_nothing(uploads: FakeUploads, form: bytes, code: str):
    """The same rules hold for it as for a short one; its video has been stored by then."""
    assert_problem(post(uploads, form), code)
    assert uploads.requests[-1] == f"DELETE {UPLOAD}"
    assert f"POST {CONVERSIONS}" not in uploads.requests


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (part("video", MOVIE), "too-large"),
        (part("film", MOVIE, "a.mp4") + END, "invalid-input"),
        (MOVIE, "bad-multipart"),
        (part("a", b"") + part("a", MOVIE), "invalid-input"),
    ],
    ids=["a field as long as a video", "another name", "no form", "a field twice"],
)
def test_a_form_that_is_wrong_from_the_beginning_stores_nothing(uploads: FakeUploads, form: bytes, code: str):
    assert_problem(post(uploads, form), code)
    assert not uploads.events


def test_a_form_of_another_type_is_refused(uploads: FakeUploads):
    form = part("video", MOVIE, "m.mp4") + END

    refused = exchange(make_gateway(uploads), "POST", CONVERSIONS, pieces(form), Content_Length=str(len(form)))

    assert_problem(refused, "bad-multipart")
    assert not uploads.events


@pytest.mark.parametrize("status", [413, 415, 422, 403, 404, 500])
@pytest.mark.parametrize("place", ["POST /v1/uploads", f"PATCH {UPLOAD} more", f"POST {CONVERSIONS}"])
def test_what_the_function_refuses_is_answered_and_deleted(uploads: FakeUploads, status: int, place: str):
    """Its answer is what the client gets, wherever in the middle it was."""
    uploads.refuse = lambda event: problem(status, "x") if uploads.requests[-1] == place else None

    assert post(uploads, part("video", MOVIE, "m.mp4") + END).status_code == status
    assert uploads.deleted is (place != "POST /v1/uploads")


def test_a_form_over_the_largest_upload_is_refused_before_it_is_read(uploads: FakeUploads):
    """A form may be a little longer than the video in it."""
    form = part("video", MOVIE, "m.mp4") + END
    gateway = make_gateway(uploads, limits=Limits(max_upload_bytes=len(MOVIE)))
    assert exchange(gateway, "POST", CONVERSIONS, pieces(form), **headers(form)).status_code == 202

    client = Client("POST", CONVERSIONS, pieces(form), {"Content-Type": TYPE, "Content-Length": "99999999"})
    refused = anyio.run(client.exchange, gateway)

    assert refused is not None
    assert_problem(refused, "too-large")
    assert client.sent_bytes == 0


@pytest.mark.parametrize(
    ("end", "code"), [(GONE, None), (SILENT, "request-timeout"), ("drain", "unavailable"), (bytes(10**7), "too-large")]
)
def test_a_form_that_does_not_come_to_its_end_leaves_nothing(uploads: FakeUploads, end: Any, code: str | None):
    """A multipart form cannot be resumed, so what came of it is of no use to anybody."""
    gateway = make_gateway(uploads, limits=Limits(body_idle_s=0.3, max_upload_bytes=15_000_000))
    last = [gateway.end_bodies, SILENT] if end == "drain" else [end]
    body = [*pieces(part("video", MOVIE, "m.mp4")[:-2]), *last]
    client = Client("POST", CONVERSIONS, body, {"Content-Type": TYPE, "Transfer-Encoding": "chunked"})

    refused = anyio.run(client.exchange, gateway)

    if code:
        assert refused is not None
        assert_problem(refused, code)
    assert uploads.requests[-2:] == [f"PATCH {UPLOAD} broken", f"DELETE {UPLOAD}"]


@pytest.mark.parametrize("status", [503, 423])
def test_a_deletion_is_tried_again(uploads: FakeUploads, status: int):
    """A slice that was given up may still hold the upload; and a database may just restart."""
    failures = [problem(status, "x")] * 3

    def refuse(event: Any) -> Any:
        if event["httpMethod"] == "DELETE" and failures:
            return failures.pop()
        return problem(422, "invalid-input") if event["path"] == CONVERSIONS else None

    uploads.refuse = refuse

    assert post(uploads, part("video", MOVIE, "m.mp4") + END).status_code == 422
    assert uploads.deleted


def test_a_deletion_that_fails_is_logged_and_changes_no_answer(uploads: FakeUploads, caplog: pytest.LogCaptureFixture):
    """The upload expires by itself; whoever looks for it finds the reason."""
    uploads.refuse = lambda event: (
        problem(500, "internal")
        if event["httpMethod"] == "DELETE"
        else problem(422, "invalid-input")
        if event["path"] == CONVERSIONS
        else None
    )

    assert post(uploads, part("video", MOVIE, "m.mp4") + END).status_code == 422
    assert "an upload was not deleted" in caplog.messages


def test_a_short_outage_at_the_very_end_costs_nobody_an_upload(uploads: FakeUploads):
    """The conversion of an upload begins once, however often it is asked for."""
    failures = [problem(503, "unavailable")] * 2
    uploads.refuse = lambda event: failures.pop() if event["path"] == CONVERSIONS and failures else None

    assert post(uploads, part("video", MOVIE, "m.mp4") + END).status_code == 202
    assert uploads.requests == [*TAKEN, TAKEN[-1], TAKEN[-1]]
    assert not uploads.deleted


def test_the_limit_of_a_name_leaves_room_in_the_header():
    """Upload-Metadata has a limit, and a letter takes up to 4 bytes, of which base64 makes more."""
    longest = base64.b64encode(("\U0001f3ac" * forms.MAX_NAME_LENGTH).encode())

    assert len("filename ") + len(longest) <= MAX_METADATA_BYTES


def test_an_empty_video_in_a_long_form_is_for_the_function_to_refuse(uploads: FakeUploads):
    """It says so in the same words as for a short form."""
    body = [part("video", b"", "m.mp4"), 0.2, END]
    uploads.refuse = lambda event: answer(422) if event["path"] == CONVERSIONS else None
    sent = dashed({"Content_Type": TYPE, "Transfer_Encoding": "chunked"})

    refused = anyio.run(Client("POST", CONVERSIONS, body, sent).exchange, make_gateway(uploads))

    assert refused is not None
    assert (refused.status_code, uploads.content, uploads.deleted) == (422, b"", True)
