"""Upload, called as Lambda calls it, on fakes."""

import hashlib
from typing import Any

import pytest

from functions.shared.conversions import ConversionMissing, Options, Owner, Quality, State
from functions.shared.events import EventName
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from functions.upload.accept import Deps, EmptyFile, accept_video
from functions.upload.app import create_app
from functions.upload.sniffing import UnsupportedMedia
from tests.events import header, http_event, json_of
from tests.fakes.shared import FakeClock, FakeConversions, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox

ANN = Owner(id="ann", email="ann@example.com")
VIDEO = b"\x00\x00\x00\x18ftypmp42 and then some \xff\xfe"


@pytest.fixture
def deps():
    database = FakeDatabase()
    ids = (f"id-{number}" for number in range(1, 100))
    return Deps(
        conversions=FakeConversions(database),
        videos=FakeFiles(),
        events=FakeEvents(),
        outbox=FakeOutbox(database),
        clock=FakeClock(),
        new_id=lambda: next(ids),
        logger=get_logger("upload"),
    )


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def form_event(*parts: bytes, end: bytes = b"--cut--\r\n", caller: Owner | None = ANN) -> dict[str, Any]:
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    return http_event("POST", "/v1/conversions", body=b"".join(parts) + end, headers=headers, caller=caller)


def test_an_uploaded_video_is_queued_for_conversion(deps):
    """Each function is called directly, with the event that Lambda would bring."""
    app = create_app(lambda: deps)

    answer = app(form_event(part("video", VIDEO, "movie.mp4"), part("quality", b"v0")), None)

    assert answer["statusCode"] == 202
    assert json_of(answer)["state"] == "queued"
    assert [event.event for event in deps.events.published] == ["video.uploaded"]


def test_the_answer_is_the_conversion_and_says_where_it_is(deps):
    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "movie.mp4")), None)

    assert header(answer, "Location") == "/v1/conversions/id-1"
    assert header(answer, "Content-Type") == "application/json"
    assert json_of(answer) == {
        "id": "id-1",
        "state": "queued",
        "progress": 0.0,
        "filename": "movie.mp4",
        "options": {"quality": "v2"},
        "video": {"bytes": len(VIDEO), "sha256": hashlib.sha256(VIDEO).hexdigest(), "duration_s": None},
        "mp3": None,
        "error": None,
        "attempts": 0,
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00Z",
        "completed_at": None,
        "expires_at": None,
    }


def test_the_bytes_are_stored_as_they_were_sent(deps):
    """A video is binary: what looks like text in it, even half a boundary, must come through."""
    video = VIDEO + bytes(range(256)) + b"\r\n--cu\r\n--cutter\r\n\r\n-" + b"--cut"

    create_app(lambda: deps)(form_event(part("video", video, "movie.mp4")), None)

    assert deps.videos.contents == {"id-1": video}


def test_options_may_come_before_the_video(deps):
    """HTML forms send the parts in the order of the page."""
    answer = create_app(lambda: deps)(form_event(part("quality", b"320"), part("video", VIDEO, "m.mp4")), None)

    assert json_of(answer)["options"] == {"quality": "320"}
    assert deps.conversions.get("id-1").options == Options(quality=Quality.CBR_320)


def test_a_video_is_accepted_while_the_broker_is_down(deps):
    """The event stays owed, and sweep publishes it later."""
    deps.events.down = True

    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "movie.mp4")), None)

    assert answer["statusCode"] == 202
    assert len(deps.outbox.owed(EventName.VIDEO_UPLOADED, 10)) == 1


def test_a_published_event_is_owed_no_more(deps):
    """Otherwise sweep would publish everything twice."""
    accept_video([VIDEO], "movie.mp4", Options(), ANN, deps)

    assert deps.outbox.owed(EventName.VIDEO_UPLOADED, 10) == []


def test_a_video_is_accepted_when_its_event_cannot_be_marked(deps, monkeypatch):
    """The conversion is committed by then: an error would make the client upload the video again."""
    monkeypatch.setattr(deps.outbox, "mark_published", _does_not_answer)

    assert accept_video([VIDEO], "movie.mp4", Options(), ANN, deps).state is State.QUEUED


def test_a_video_without_conversion_is_deleted(deps, monkeypatch):
    """The write was refused, so nobody would ever find the video again."""
    monkeypatch.setattr(deps.conversions, "add", _refuses)

    with pytest.raises(ValueError, match="too large"):
        accept_video([VIDEO], "movie.mp4", Options(), ANN, deps)

    assert deps.videos.contents == {}
    assert deps.events.published == []


def test_a_conversion_whose_write_was_answered_by_silence_keeps_its_video(deps, monkeypatch):
    """The write may have succeeded although the answer was lost; deleting the video then would break the promise."""
    add = deps.conversions.add

    def add_and_lose_the_answer(conversion, owed):
        add(conversion, owed)
        raise Unavailable("The storage")

    monkeypatch.setattr(deps.conversions, "add", add_and_lose_the_answer)

    conversion = accept_video([VIDEO], "movie.mp4", Options(), ANN, deps)

    assert deps.videos.contents == {conversion.id: VIDEO}
    assert deps.conversions.get(conversion.id) == conversion


@pytest.mark.parametrize("get", ["is silent", "sees nothing yet"])
def test_a_video_stays_while_it_is_in_doubt_whether_it_was_taken_in(deps, monkeypatch, get):
    """A write without answer can come through after all, and then its conversion needs the video."""
    monkeypatch.setattr(deps.conversions, "add", _does_not_answer)
    if get == "is silent":
        monkeypatch.setattr(deps.conversions, "get", _does_not_answer)

    with pytest.raises(Unavailable):
        accept_video([VIDEO], "movie.mp4", Options(), ANN, deps)

    assert deps.videos.contents == {"id-1": VIDEO}
    assert deps.events.published == []


def test_a_storage_that_does_not_answer_is_a_503(deps, monkeypatch):
    """The client is to try again, not to give up."""
    monkeypatch.setattr(deps.videos, "put", _does_not_answer)

    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "movie.mp4")), None)

    assert (answer["statusCode"], header(answer, "Retry-After")) == (503, "5")
    assert json_of(answer)["type"] == "/problems/unavailable"


def test_the_rule_takes_a_video_of_any_size_as_a_stream(deps):
    """What does not fit into an event is put in place by calling the rule."""
    conversion = accept_video((VIDEO[n : n + 1] for n in range(len(VIDEO))), "movie.mp4", Options(), ANN, deps)

    assert b"".join(deps.videos.read(conversion.id)) == VIDEO
    assert conversion.video.bytes == len(VIDEO)


@pytest.mark.parametrize("parts", [[], [b""], [b"", b""]])
def test_an_empty_stream_is_refused(deps, parts):
    with pytest.raises(EmptyFile):
        accept_video(parts, "movie.mp4", Options(), ANN, deps)

    assert deps.videos.contents == {}


def test_what_is_no_video_is_not_stored(deps):
    """The first bytes are judged before anything is written, however they are cut."""
    with pytest.raises(UnsupportedMedia):
        accept_video([b"<!DOC", b"TYPE html><p>"], "movie.mp4", Options(), ANN, deps)

    assert deps.videos.contents == {}
    with pytest.raises(ConversionMissing):
        deps.conversions.get("id-1")


@pytest.mark.parametrize(
    ("parts", "status", "code", "fields"),
    [
        ([part("video", b"", "m.mp4")], 422, "empty-file", []),
        ([part("video", b"<html><body>", "m.mp4")], 415, "unsupported-media", []),
        ([part("quality", b"v2")], 422, "invalid-input", ["video"]),
        ([part("video", VIDEO)], 422, "invalid-input", ["video"]),
        ([part("film", VIDEO, "m.mp4")], 422, "invalid-input", ["video", "film"]),
        ([], 422, "invalid-input", ["video"]),
        ([part("video", VIDEO, "m.mp4"), part("quality", b"best")], 422, "invalid-input", ["quality"]),
        ([part("video", VIDEO, "m.mp4"), part("quality", b"")], 422, "invalid-input", ["quality"]),
        ([part("video", VIDEO, "m.mp4"), part("speed", b"2")], 422, "invalid-input", ["speed"]),
        (
            [part("video", VIDEO, "m.mp4"), part("q", b"1"), part("quality", b"x")],
            422,
            "invalid-input",
            ["q", "quality"],
        ),
        (
            [part("quality", b"v0"), part("quality", b"v2"), part("video", VIDEO, "m")],
            422,
            "invalid-input",
            ["quality"],
        ),
        ([part("video", VIDEO, "a.mp4"), part("video", VIDEO, "b.mp4")], 400, "bad-multipart", []),
        ([part("video", VIDEO, "a.mp4"), part("other", VIDEO, "b.mp4")], 400, "bad-multipart", []),
        ([part("video", VIDEO, "a.mp4"), *[part(f"f{n}", b"") for n in range(10_000)]], 413, "too-large", []),
        ([part("video", VIDEO, "a" * 10_000)], 413, "too-large", []),
        ([part("video", VIDEO, "m.mp4"), part("quality", b"v" * 5_000)], 413, "too-large", []),
    ],
)
def test_a_form_that_cannot_be_taken_is_refused_and_leaves_nothing(deps, parts, status, code, fields):
    """The answer names what to correct, and no byte stays behind."""
    answer = create_app(lambda: deps)(form_event(*parts), None)

    problem = json_of(answer)
    assert (answer["statusCode"], problem["type"]) == (status, f"/problems/{code}")
    assert header(answer, "Content-Type") == "application/problem+json"
    assert [error["field"] for error in problem.get("errors", [])] == fields
    assert deps.videos.contents == {}
    assert deps.events.published == []


def test_a_wrong_quality_is_answered_with_the_right_ones(deps):
    """A person should not have to look them up."""
    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "m.mp4"), part("quality", b"hi")), None)

    assert json_of(answer)["errors"][0]["message"] == "Use one of: v0, v2, v4, 128, 192, 256, 320."


@pytest.mark.parametrize("end", [b"", b"--cut", b"--cut-", b"--other--\r\n"])
def test_a_form_that_breaks_off_is_refused(deps, end):
    """A connection that was cut must not leave half a video that looks whole."""
    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "m.mp4"), end=end), None)

    assert (answer["statusCode"], json_of(answer)["type"]) == (400, "/problems/bad-multipart")
    assert deps.videos.contents == {}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "text/html; boundary=cut",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=ü",
        "multipart/form-data; boundary=another",
        f"multipart/form-data; boundary={'x' * 1000}",
    ],
)
def test_a_body_without_its_boundary_is_refused(deps, content_type):
    event = form_event(part("video", VIDEO, "m.mp4"))
    event["headers"]["Content-Type"] = content_type

    answer = create_app(lambda: deps)(event, None)

    assert (answer["statusCode"], json_of(answer)["type"]) == (400, "/problems/bad-multipart")


def test_without_a_body_there_is_no_form(deps):
    event = {**form_event(), "body": None, "isBase64Encoded": False}

    assert create_app(lambda: deps)(event, None)["statusCode"] == 400


def test_without_a_person_nothing_is_accepted(deps):
    """The gateway asks the authorizer first; should it fail to, the function still knows nobody."""
    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "m.mp4"), caller=None), None)

    assert (answer["statusCode"], header(answer, "WWW-Authenticate")) == (401, "Bearer")
    assert deps.videos.contents == {}


def _does_not_answer(*_args):
    raise Unavailable("The storage")


def _refuses(*_args):
    raise ValueError("The document is too large.")
