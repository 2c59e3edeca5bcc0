"""Upload, called as Lambda calls it, on fakes."""

import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import to_builtins
from msgspec.structs import asdict

from functions.shared.conversions import ConversionMissing, Owner, State
from functions.shared.events import EventName
from functions.shared.options import Options, Quality
from functions.shared.problems import Unavailable
from functions.shared.sniffing import UnsupportedMedia
from functions.upload.accept import EmptyFile, accept_video
from functions.upload.app import create_app
from functions.upload.fields import Fields
from functions.upload.quotas import QuotaExceeded
from tests.events import header, http_event, json_of
from tests.tus_function import ANN, BOB, LIMITS, Answer, TusFunction, encoded, upload_deps

ID = f"{1:032x}"
VIDEO = b"\x00\x00\x00\x18ftypmp42 and then some \xff\xfe"


@pytest.fixture
def deps():
    return upload_deps()


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

    assert header(answer, "Location") == f"/v1/conversions/{ID}"
    assert header(answer, "Content-Type") == "application/json"
    assert json_of(answer) == {
        "id": ID,
        "state": "queued",
        "progress": 0.0,
        "filename": "movie.mp4",
        "options": asdict(Options()),
        "video": {
            "bytes": len(VIDEO),
            "sha256": hashlib.sha256(VIDEO).hexdigest(),
            "duration_s": None,
            "tracks": [],
            "original_bytes": None,
            "sent": "whole",
        },
        "mp3": None,
        "error": None,
        "attempts": 0,
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00Z",
        "completed_at": None,
        "expires_at": None,
        "warnings": [],
    }


def test_the_bytes_are_stored_as_they_were_sent(deps):
    """A video is binary: what looks like text in it, even half a boundary, must come through."""
    video = VIDEO + bytes(range(256)) + b"\r\n--cu\r\n--cutter\r\n\r\n-" + b"--cut"

    create_app(lambda: deps)(form_event(part("video", video, "movie.mp4")), None)

    assert deps.videos.contents == {ID: video}


def test_options_may_come_before_the_video(deps):
    """HTML forms send the parts in the order of the page."""
    answer = create_app(lambda: deps)(form_event(part("quality", b"320"), part("video", VIDEO, "m.mp4")), None)

    assert json_of(answer)["options"] == asdict(Options(quality=Quality.CBR_320))
    assert deps.conversions.get(ID).options == Options(quality=Quality.CBR_320)


def test_a_video_is_accepted_while_the_broker_is_down(deps):
    """The event stays owed, and sweep publishes it later."""
    deps.events.down = True

    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "movie.mp4")), None)

    assert answer["statusCode"] == 202
    assert len(deps.outbox.owed(EventName.VIDEO_UPLOADED, 10)) == 1


def test_a_published_event_is_owed_no_more(deps):
    """Otherwise sweep would publish everything twice."""
    accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    assert deps.outbox.owed(EventName.VIDEO_UPLOADED, 10) == []


def test_a_video_is_accepted_when_its_event_cannot_be_marked(deps, monkeypatch):
    """The conversion is committed by then: an error would make the client upload the video again."""
    monkeypatch.setattr(deps.outbox, "mark_published", _does_not_answer)

    assert accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps).state is State.QUEUED


def test_a_video_without_conversion_is_deleted(deps, monkeypatch):
    """The write was refused, so nobody would ever find the video again."""
    monkeypatch.setattr(deps.conversions, "add", _refuses)

    with pytest.raises(ValueError, match="too large"):
        accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    assert deps.videos.contents == {}
    assert deps.events.published == []


def test_a_conversion_whose_write_was_answered_by_silence_keeps_its_video(deps, monkeypatch):
    """The write may have succeeded although the answer was lost; deleting the video then would break the promise."""
    add = deps.conversions.add

    def add_and_lose_the_answer(conversion, owed):
        add(conversion, owed)
        raise Unavailable("The storage")

    monkeypatch.setattr(deps.conversions, "add", add_and_lose_the_answer)

    conversion = accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    assert deps.videos.contents == {conversion.id: VIDEO}
    assert deps.conversions.get(conversion.id) == conversion


@pytest.mark.parametrize("get", ["is silent", "sees nothing yet"])
def test_a_video_stays_while_it_is_in_doubt_whether_it_was_taken_in(deps, monkeypatch, get):
    """A write without answer can come through after all, and then its conversion needs the video."""
    monkeypatch.setattr(deps.conversions, "add", _does_not_answer)
    if get == "is silent":
        monkeypatch.setattr(deps.conversions, "get", _does_not_answer)

    with pytest.raises(Unavailable):
        accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    assert deps.videos.contents == {ID: VIDEO}
    assert deps.events.published == []


def test_bytes_are_looked_after_before_they_come(deps, monkeypatch):
    """Whoever stores them may be killed at any moment, and nobody else knows of them."""
    monkeypatch.setattr(deps.videos, "put", _does_not_answer)

    with pytest.raises(Unavailable):
        accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    assert deps.uploads.deleted == {ID}


def test_a_storage_that_does_not_answer_is_a_503(deps, monkeypatch):
    """The client is to try again, not to give up."""
    monkeypatch.setattr(deps.videos, "put", _does_not_answer)

    answer = create_app(lambda: deps)(form_event(part("video", VIDEO, "movie.mp4")), None)

    assert (answer["statusCode"], header(answer, "Retry-After")) == (503, "5")
    assert json_of(answer)["type"] == "/problems/unavailable"


def test_the_rule_takes_a_video_of_any_size_as_a_stream(deps):
    """What does not fit into an event is put in place by calling the rule."""
    conversion = accept_video((VIDEO[n : n + 1] for n in range(len(VIDEO))), "movie.mp4", Fields(), ANN, deps)

    assert b"".join(deps.videos.read(conversion.id)) == VIDEO
    assert conversion.video.bytes == len(VIDEO)


@pytest.mark.parametrize("parts", [[], [b""], [b"", b""]])
def test_an_empty_stream_is_refused(deps, parts):
    with pytest.raises(EmptyFile):
        accept_video(parts, "movie.mp4", Fields(), ANN, deps)

    assert deps.videos.contents == {}


def test_what_is_no_video_is_not_stored(deps):
    """The first bytes are judged before anything is written, however they are cut."""
    with pytest.raises(UnsupportedMedia):
        accept_video([b"<!DOC", b"TYPE html><p>"], "movie.mp4", Fields(), ANN, deps)

    assert deps.videos.contents == {}
    with pytest.raises(ConversionMissing):
        deps.conversions.get(ID)


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
        ([part("video", VIDEO, "m.mp4"), part("sent", b"half")], 422, "invalid-input", ["sent"]),
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

    assert json_of(answer)["errors"][0]["message"] == "Use one of: auto, copy, v0, v2, v4, 128, 192, 256, 320."


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


# A video that was too long for one event, and came as an upload


def stored(deps: Any, upload_id: str, caller: Owner | None = ANN, **fields: str) -> Answer:
    """Send a form whose video is an upload."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Stored-Upload": upload_id}
    event = http_event("POST", "/v1/conversions", body=urlencode(fields).encode(), headers=headers, caller=caller)
    return Answer(create_app(lambda: deps)(event, None))


@pytest.fixture
def tus(deps):
    return TusFunction(deps)


@pytest.fixture
def upload_id(tus):
    """An upload of deferred length, as the gateway makes it of a form."""
    upload_id = tus.create(None, Upload_Metadata=f"filename {encoded('../Ferien.mp4')}")
    tus.slice(upload_id, 0, 0, VIDEO[:20])
    tus.slice(upload_id, 0, 20, VIDEO[20:], "last")
    return upload_id


def test_a_stored_video_is_queued_as_one_in_a_form_is(deps, upload_id):
    """A client cannot tell how its form travelled."""
    answer = stored(deps, upload_id, quality="v0")

    assert (answer.status, answer.header("Location")) == (202, f"/v1/conversions/{upload_id}")
    assert answer.header("Content-Type") == "application/json"
    assert (answer.json["state"], answer.json["filename"]) == ("queued", "Ferien.mp4")
    assert answer.json["options"] == asdict(Options(quality=Quality.V0))
    assert (answer.json["video"]["bytes"], answer.json["video"]["sha256"]) == (len(VIDEO), None)
    assert deps.videos.contents == {upload_id: VIDEO}
    assert [event.conversion_id for event in deps.events.published] == [upload_id]


def test_a_video_keeps_how_it_was_sent_whichever_way_it_came(deps, tus, upload_id):
    """A form of any size, or an upload: the page asks the conversion, and shows what it saved."""
    said = {"original_bytes": "9000", "sent": "sound"}
    form = form_event(part("video", VIDEO, "m.mp4"), *(part(name, text.encode()) for name, text in said.items()))
    pairs = ",".join(f"{name} {encoded(text)}" for name, text in {"filename": "m.mp4", **said}.items())
    by_tus = tus.create(len(VIDEO), Upload_Metadata=pairs)
    tus.patch(by_tus, 0, VIDEO)

    videos = [
        json_of(create_app(lambda: deps)(form, None))["video"],
        stored(deps, upload_id, original_bytes="9000", sent="sound").json["video"],
        to_builtins(deps.conversions.get(by_tus).video),
    ]

    assert [(video["original_bytes"], video["sent"]) for video in videos] == [(9000, "sound")] * 3


def test_a_stored_video_with_very_many_fields_is_refused(deps, upload_id):
    """An answer that names each of them as wrong would be larger than Lambda sends."""
    answer = stored(deps, upload_id, ANN, **{f"field{number}": "" for number in range(25)})

    assert (answer.status, answer.code) == (413, "too-large")
    assert deps.events.published == []


def test_a_stored_video_may_be_announced_twice(deps, upload_id):
    """The gateway asks again if it got no answer."""
    assert stored(deps, upload_id, quality="v0").raw == stored(deps, upload_id, quality="v0").raw
    assert len(deps.events.published) == 1


@pytest.mark.parametrize("port", ["slices.finish", "conversions.add", "uploads.advance"])
def test_a_stored_video_may_be_announced_again_after_a_failure(deps, upload_id, monkeypatch, port):
    name, _, method = port.partition(".")
    with monkeypatch.context() as patch:
        patch.setattr(getattr(deps, name), method, _does_not_answer)
        assert stored(deps, upload_id).status == 503

    answer = stored(deps, upload_id)

    assert (answer.status, answer.json["id"]) == (202, upload_id)
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (b"", {}, 422, "empty-file"),
        (b"<html><body>", {}, 415, "unsupported-media"),
        (VIDEO, {"quality": "best"}, 422, "invalid-input"),
        (VIDEO, {"quality": ""}, 422, "invalid-input"),
        (VIDEO, {"speed": "2"}, 422, "invalid-input"),
    ],
)
def test_a_stored_video_is_refused_as_one_in_a_form_is(deps, content, fields, status, code):
    """The gateway then deletes it."""
    tus = TusFunction(deps)
    upload_id = tus.create(None)
    tus.patch(upload_id, 0, content)

    answer = stored(deps, upload_id, **fields)

    assert (answer.status, answer.code) == (status, code)
    assert [error["field"] for error in answer.json.get("errors", [])] == list(fields)
    assert deps.videos.contents == {}
    assert tus.delete(upload_id).status == 204


def test_a_stored_video_of_somebody_else_is_not_found(deps, upload_id):
    """Behind a gateway that is not ours a client can send this header, too."""
    for wrong in (stored(deps, upload_id, BOB), stored(deps, "f" * 32), stored(deps, "../x")):
        assert (wrong.status, wrong.code) == (404, "not-found")
    assert stored(deps, upload_id, None).status == 401
    assert deps.videos.contents == {}


def test_only_what_came_out_of_a_form_can_be_announced(deps, tus):
    """Or half a video would be converted."""
    half = tus.create(10)
    tus.patch(half, 0, b"abcde")

    for wrong in (half, tus.part(VIDEO)):
        assert (stored(deps, wrong).status, stored(deps, wrong).code) == (400, "bad-request")


def test_a_stored_video_that_is_still_coming_is_not_converted(deps, tus):
    upload_id = tus.create(None)
    tus.slice(upload_id, 0, 0, VIDEO)

    assert stored(deps, upload_id).status == 423


# Limits


def limited(**limits: Any) -> Any:
    return upload_deps(replace(LIMITS, **limits))


def test_a_video_that_is_too_large_is_refused():
    """However it comes."""
    deps = limited(max_upload_bytes=len(VIDEO))
    accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    answer = Answer(create_app(lambda: deps)(form_event(part("video", VIDEO + b"!", "m.mp4")), None))

    assert (answer.status, answer.code) == (413, "too-large")
    assert str(len(VIDEO)) in answer.json["detail"]
    assert len(deps.videos.contents) == 1


def test_nobody_stores_more_than_the_quota():
    """One person must not fill the disk of all. What is deleted makes room."""
    deps = limited(quota_bytes=2 * len(VIDEO) + 5)
    first = accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)
    accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)

    answer = Answer(create_app(lambda: deps)(form_event(part("video", VIDEO, "m.mp4")), None))

    assert (answer.status, answer.code) == (403, "quota-exceeded")
    used, quota = 2 * len(VIDEO), 2 * len(VIDEO) + 5
    assert answer.json["detail"].startswith(f"You use {used} of the {quota} bytes that you may store; 5 are left.")
    accept_video([VIDEO], "movie.mp4", Fields(), BOB, deps)
    deps.conversions.delete(first.id, deps.clock())
    accept_video([VIDEO], "movie.mp4", Fields(), ANN, deps)


def test_a_stream_is_stopped_where_there_is_no_more_room():
    """Not after it was stored."""
    deps = limited(quota_bytes=len(VIDEO))
    left = iter([VIDEO] * 100)

    with pytest.raises(QuotaExceeded):
        accept_video(left, "movie.mp4", Fields(), ANN, deps)

    assert next(left)
    assert deps.videos.contents == {}


def test_an_upload_takes_its_room_when_it_begins():
    """Who begins ten at once is told at the first that will not fit, not after hours."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    begun = tus.create(60)

    for answer in (tus.post(Upload_Length="41"), tus.post(Upload_Length="41", Upload_Concat="partial")):
        assert (answer.status, answer.code) == (403, "quota-exceeded")
        assert answer.json["detail"].startswith("You use 60 of the 100 bytes that you may store; 40 are left.")
    tus.create(40, Upload_Concat="partial")
    tus.delete(begun)
    tus.create(60)


def test_an_upload_that_expired_takes_no_room():
    """Sweep has not come by yet."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    tus.create(100)
    deps.clock.advance(days=2)

    tus.create(100)


def test_an_upload_of_deferred_length_may_grow_into_the_room_that_is_left():
    """And not out of it: its offset stays."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    tus.create(60)
    upload_id = tus.create(None)
    assert tus.patch(upload_id, 0, bytes(40)).status == 204

    for answer in (tus.patch(upload_id, 40, b"!"), tus.slice(upload_id, 40, 0, b"", total="1")):
        assert (answer.status, answer.code) == (403, "quota-exceeded")
    assert tus.post(Upload_Defer_Length="1").status == 403
    assert tus.head(upload_id).offset == 40


def test_an_upload_of_deferred_length_may_use_what_became_free():
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    other, upload_id = tus.create(60), tus.create(None)
    tus.delete(other)

    assert tus.patch(upload_id, 0, bytes(100)).status == 204


def test_an_upload_of_deferred_length_does_not_grow_over_the_largest_video():
    deps = limited(max_upload_bytes=50)
    tus = TusFunction(deps)
    upload_id = tus.create(None)

    assert tus.patch(upload_id, 0, bytes(50)).status == 204
    assert (tus.patch(upload_id, 50, b"!").status, tus.patch(upload_id, 50, b"!").code) == (413, "too-large")


def test_uploads_of_deferred_length_share_the_room_that_is_left():
    """Else who begins ten of them, before there is a byte in any, stores ten times the quota."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    first, second = tus.create(None), tus.create(None)
    assert tus.patch(first, 0, bytes(70)).status == 204

    answer = tus.patch(second, 0, bytes(31))

    assert (answer.status, answer.code) == (403, "quota-exceeded")
    assert tus.patch(second, 0, bytes(30)).status == 204


def test_uploads_that_begin_at_the_same_moment_may_not_have_twice_the_room(monkeypatch):
    """Each sees the room before the other takes it. Nothing of the one that is refused counts or stays."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    add = deps.uploads.add

    def add_after_another(upload):
        monkeypatch.setattr(deps.uploads, "add", add)
        tus.create(60)
        add(upload)

    monkeypatch.setattr(deps.uploads, "add", add_after_another)

    answer = tus.post(Upload_Length="41")

    assert (answer.status, answer.code) == (403, "quota-exceeded")
    assert answer.json["detail"].startswith("You use 60 of the 100 bytes that you may store; 40 are left.")
    tus.create(40)


def test_a_length_that_comes_late_must_fit_in_the_room_that_is_left_then():
    """What others have taken meanwhile is gone."""
    deps = limited(quota_bytes=100)
    tus = TusFunction(deps)
    first, second = tus.create(None), tus.create(None)
    tus.patch(first, 0, bytes(70))
    tus.patch(second, 0, bytes(20))

    assert tus.patch(second, 20, Upload_Length="31").status == 403
    assert tus.patch(second, 20, bytes(10), Upload_Length="30").status == 204


def test_forms_that_grew_at_the_same_time_may_not_have_twice_the_room():
    """Slices that come at the same moment see the same room, and so each may be let in."""
    deps = limited(quota_bytes=140)
    tus = TusFunction(deps)
    first, second = tus.create(None), tus.create(None)
    tus.patch(first, 0, bytes(70))
    tus.patch(second, 0, bytes(70))
    deps = replace(deps, limits=replace(LIMITS, quota_bytes=100))

    assert (stored(deps, first).status, stored(deps, first).code) == (403, "quota-exceeded")
    tus.delete(second)
    assert stored(deps, first).status == 202


def _does_not_answer(*_args, **_kwargs):
    raise Unavailable("The storage")


def _refuses(*_args):
    raise ValueError("The document is too large.")
