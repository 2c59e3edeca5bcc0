"""tus 1.0.0 as the function upload speaks it, on fakes: the core protocol, creation, termination, expiration."""

import pytest

from functions.shared.events import EventName
from functions.shared.options import Options, Quality
from functions.shared.problems import Unavailable
from functions.upload.deps import Deps
from functions.upload.finishing import conversion_of
from functions.upload.metadata import MAX_METADATA_BYTES
from tests.events import REQUEST_ID
from tests.fakes.upload import FakeSlices
from tests.tus_function import BOB, BYTES, LIMITS, TusFunction, encoded, upload_deps

VIDEO = b"\x00\x00\x00\x18ftypmp42 and then some \xff\xfe"
LENGTH = len(VIDEO)


@pytest.fixture
def deps() -> Deps:
    return upload_deps()


@pytest.fixture
def tus(deps: Deps) -> TusFunction:
    return TusFunction(deps)


def content(deps: Deps, upload_id: str) -> bytes:
    """Return the bytes that are stored of an upload, whether they count or not."""
    assert isinstance(deps.slices, FakeSlices)
    return b"".join(chunk.data for _, chunk in sorted(deps.slices.chunks.get(upload_id, {}).items()))


# A whole upload


def test_an_upload_becomes_a_conversion(deps, tus):
    """All of tus is for this."""
    upload_id = tus.create(LENGTH, Upload_Metadata=f"filename {encoded('Ferien.mp4')},quality {encoded('v0')}")
    first = tus.patch(upload_id, 0, VIDEO[:10])
    last = tus.patch(upload_id, 10, VIDEO[10:])

    assert (first.status, first.offset, first.header("Content-Location")) == (204, 10, None)
    assert (last.status, last.offset) == (204, LENGTH)
    assert last.header("Content-Location") == f"/v1/conversions/{upload_id}"
    assert b"".join(deps.videos.read(upload_id)) == VIDEO
    conversion = deps.conversions.get(upload_id)
    assert (conversion.filename, conversion.options) == ("Ferien.mp4", Options(quality=Quality.V0))
    assert (conversion.video.bytes, conversion.video.sha256) == (LENGTH, None)
    assert [(event.event, event.conversion_id) for event in deps.events.published] == [("video.uploaded", upload_id)]
    assert deps.outbox.owed(EventName.VIDEO_UPLOADED, 9) == []


def test_a_conversion_begins_while_the_broker_is_down(deps, tus):
    """The event stays owed, and sweep publishes it."""
    deps.events.down = True
    upload_id = tus.create(LENGTH)

    assert tus.patch(upload_id, 0, VIDEO).status == 204
    assert len(deps.outbox.owed(EventName.VIDEO_UPLOADED, 9)) == 1


def test_a_new_upload_says_where_it_is_and_until_when(tus):
    answer = tus.post(Upload_Length="9")

    assert answer.status == 201
    assert answer.header("Location") == f"/v1/uploads/{answer.upload_id}"
    assert answer.offset == 0
    assert answer.header("Upload-Expires") == "Fri, 02 Jan 2026 12:00:00 GMT"
    assert answer.header("Content-Location") is None


def test_a_partial_upload_becomes_no_conversion(deps, tus):
    """It is processed when it is part of something."""
    answer = tus.post(VIDEO, Upload_Length=str(LENGTH), Upload_Concat="partial", Content_Type=BYTES)

    assert answer.offset == LENGTH
    assert answer.header("Content-Location") is None
    assert deps.videos.contents == {}
    assert deps.events.published == []


# HEAD


def test_head_says_what_is_known(tus):
    upload_id = tus.create(LENGTH, Upload_Metadata="name QQ==,empty, key  ")
    tus.patch(upload_id, 0, VIDEO[:10])

    answer = tus.head(upload_id)

    assert answer.status == 200
    assert answer.raw["body"] == ""
    headers = {name: answer.header(name) for name in answer.raw["headers"]}
    assert headers == {
        "Tus-Resumable": "1.0.0",
        "Cache-Control": "no-store",
        "Upload-Offset": "10",
        "Upload-Length": str(LENGTH),
        "Upload-Metadata": "name QQ==,empty, key  ",
        "Upload-Expires": "Fri, 02 Jan 2026 12:00:00 GMT",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": REQUEST_ID,
    }


def test_head_of_an_upload_of_deferred_length_says_so(tus):
    """A client that lost its state must know that it has to say the length."""
    answer = tus.head(tus.create(None))

    assert (answer.header("Upload-Defer-Length"), answer.header("Upload-Length")) == ("1", None)


def test_head_of_a_partial_upload_says_so(tus):
    answer = tus.head(tus.part(b"abc"))

    assert (answer.header("Upload-Concat"), answer.offset, answer.header("Upload-Length")) == ("partial", 3, "3")
    assert answer.header("Upload-Expires")


def test_head_of_a_finished_upload_leads_to_its_conversion(deps, tus):
    """A client whose last answer was lost learns it here. And what is finished does not expire."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO)
    deps.clock.advance(days=30)

    answer = tus.head(upload_id)

    assert (answer.status, answer.offset, answer.header("Upload-Length")) == (200, LENGTH, str(LENGTH))
    assert answer.header("Content-Location") == f"/v1/conversions/{upload_id}"
    assert answer.header("Upload-Expires") is None


def test_a_finished_upload_goes_with_its_conversion(deps, tus):
    """It is one thing with two addresses."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO)
    deps.conversions.delete(upload_id, deps.clock())

    assert tus.head(upload_id).status == 404
    assert tus.patch(upload_id, LENGTH).status == 404
    assert tus.delete(upload_id).status == 404


# OPTIONS, versions and methods


@pytest.mark.parametrize("upload_id", [None, "0" * 32])
@pytest.mark.parametrize("version", [None, "0.2.2"])
def test_options_says_what_is_spoken(deps, upload_id, version):
    """Without logging in, and whatever version the client speaks."""
    answer = TusFunction(deps, person=None).ask("OPTIONS", upload_id, {"Tus-Resumable": version})

    assert answer.status == 204
    assert answer.header("Tus-Resumable") == "1.0.0"
    assert answer.header("Tus-Version") == "1.0.0"
    assert answer.header("Tus-Max-Size") == str(20 * 1024**3)
    assert answer.header("Tus-Checksum-Algorithm") == "sha1,sha256,md5,crc32"
    assert answer.header("Tus-Extension") == (
        "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum,concatenation"
    )


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", [None, "", "0.2.2", "1.0", "1.0.0, 1.0.0"])
def test_another_version_is_not_processed(deps, tus, method, version):
    """A client that means something else must not change anything."""
    upload_id = tus.create(LENGTH)
    headers = {"Tus-Resumable": version, "Upload-Length": "1", "Upload-Offset": "0", "Content-Type": BYTES}

    answer = tus.ask(method, None if method == "POST" else upload_id, headers, b"x")

    assert (answer.status, answer.code, answer.header("Tus-Version")) == (412, "unsupported-version", "1.0.0")
    assert list(deps.uploads.records) == [upload_id]
    assert tus.head(upload_id).offset == 0


def test_every_answer_says_the_version(deps, tus, monkeypatch):
    """Also problems, and those nobody foresaw."""
    upload_id = tus.create(LENGTH)
    answers = [
        tus.post(),
        tus.head("0" * 32),
        tus.patch(upload_id, 5),
        tus.ask("POST", upload_id),
        TusFunction(deps, person=None).head(upload_id),
    ]
    monkeypatch.setattr(deps.uploads, "get", lambda _: 1 / 0)
    answers.append(tus.head(upload_id))

    assert [answer.status for answer in answers] == [400, 404, 409, 405, 401, 500]
    assert {answer.header("Tus-Resumable") for answer in answers} == {"1.0.0"}


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("meant", ["HEAD", "PATCH", "DELETE", "patch"])
def test_a_request_may_stand_for_another_method(tus, method, meant):
    """Some clients can only GET and POST. The actual method must be ignored then, says tus."""
    upload_id = tus.create(LENGTH)
    headers = {"X-HTTP-Method-Override": meant, "Upload-Offset": "0", "Content-Type": BYTES}

    answer = tus.ask(method, upload_id, headers, VIDEO[:5] if meant.upper() == "PATCH" else None)

    status, offset = {"HEAD": (200, 0), "PATCH": (204, 5), "DELETE": (204, -1)}[meant.upper()]
    assert (answer.status, answer.offset) == (status, offset)
    assert tus.head(upload_id).status == (404 if meant == "DELETE" else 200)


def test_options_stands_for_itself(deps, tus):
    """It needs no login, so nothing else may come through there."""
    upload_id = tus.create(LENGTH)

    answer = TusFunction(deps, person=None).ask("OPTIONS", upload_id, {"X-HTTP-Method-Override": "DELETE"})

    assert (answer.status, answer.header("Tus-Version")) == (204, "1.0.0")
    assert tus.head(upload_id).status == 200


@pytest.mark.parametrize("header", [None, "POST", "GET", "OPTIONS", ""])
def test_a_post_to_an_upload_must_stand_for_something(tus, header):
    answer = tus.ask("POST", tus.create(LENGTH), {"X-HTTP-Method-Override": header})

    assert (answer.status, answer.header("Allow")) == (405, "DELETE, HEAD, OPTIONS, PATCH")


def test_a_post_to_all_uploads_stands_for_itself(deps, tus):
    """What is meant to be a PATCH must not begin an upload."""
    answer = tus.post(X_HTTP_Method_Override="PATCH", Upload_Length="1")

    assert (answer.status, answer.header("Allow")) == (405, "OPTIONS, POST")
    assert deps.uploads.records == {}


# Creation


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload-Length": ""},
        {"Upload-Length": "-1"},
        {"Upload-Length": "+1"},
        {"Upload-Length": "1.0"},
        {"Upload-Length": "0x10"},
        {"Upload-Length": "1e3"},
        {"Upload-Length": "ten"},
        {"Upload-Length": "\u0661"},
        {"Upload-Length": "1, 1"},
        {"Upload-Length": "9" * 101},
        {"Upload-Length": "9" * 5000},
        {"Upload-Defer-Length": "0"},
        {"Upload-Defer-Length": ""},
        {"Upload-Defer-Length": "2"},
        {"Upload-Defer-Length": "true"},
        {"Upload-Defer-Length": "1", "Upload-Length": "5"},
        {"Upload-Defer-Length": "1", "Upload-Length": "0"},
        {"Upload-Concat": "", "Upload-Length": "5"},
    ],
)
def test_a_new_upload_needs_one_length_or_says_that_it_comes_later(deps, tus, headers):
    answer = tus.ask("POST", None, headers)

    assert (answer.status, answer.code) == (400, "bad-request")
    assert deps.uploads.records == {}


@pytest.mark.parametrize("name", ["Upload-Length", "Upload-Metadata", "Upload-Concat", "Tus-Resumable", "Content-Type"])
def test_a_header_that_comes_twice_is_refused(deps, tus, name):
    """Which of the two is meant, nobody knows; and a proxy may see the other one."""
    answer = tus.ask("POST", None, {"Upload-Length": "5", name: ["5", "5"]})

    assert (answer.status, answer.code) == (400, "bad-request")
    assert deps.uploads.records == {}


def test_what_came_with_the_creation_is_stored(deps, tus):
    """It saves a client with a small video one round trip."""
    part = tus.post(VIDEO[:7], Upload_Length=str(LENGTH), Content_Type=BYTES)
    whole = tus.post(VIDEO, Upload_Length=str(LENGTH), Content_Type=BYTES)
    deferred = tus.post(VIDEO, Upload_Defer_Length="1", Content_Type=BYTES)

    assert (part.status, part.offset, content(deps, part.upload_id)) == (201, 7, VIDEO[:7])
    assert (whole.offset, whole.header("Content-Location")) == (LENGTH, f"/v1/conversions/{whole.upload_id}")
    assert (deferred.offset, deferred.header("Content-Location")) == (LENGTH, None)
    assert list(deps.videos.contents) == [whole.upload_id]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/json"}, 415, "unsupported-content-type"),
        ({"Content-Type": None}, 415, "unsupported-content-type"),
        ({"Upload-Length": str(LENGTH - 1)}, 413, "too-large"),
        ({"Upload-Checksum": "sha1 AAAA"}, 460, "wrong-checksum"),
        ({"Upload-Checksum": "sha9 AAAA"}, 400, "bad-request"),
        ({"Upload-Length": str(LENGTH), "Upload-Metadata": "filename %"}, 400, "bad-request"),
    ],
)
def test_a_creation_with_wrong_bytes_leaves_nothing(deps, tus, headers, status, code):
    """Nobody would know the URL of what was left."""
    answer = tus.ask("POST", None, {"Upload-Length": str(LENGTH), "Content-Type": BYTES, **headers}, VIDEO)

    assert (answer.status, answer.code) == (status, code)
    assert deps.uploads.records == {}
    assert deps.slices.chunks == {}


def test_a_content_type_without_bytes_means_nothing(tus):
    """Some clients send one with every request."""
    for content_type in ("application/json", BYTES):
        assert tus.post(Upload_Length="5", Content_Type=content_type).status == 201


def test_an_empty_video_is_finished_at_once(deps, tus):
    """So tus has it. That there is nothing in it, convert will say."""
    answer = tus.post(Upload_Length="0")

    assert (answer.status, answer.offset) == (201, 0)
    assert answer.header("Content-Location") == f"/v1/conversions/{answer.upload_id}"
    assert deps.videos.contents == {answer.upload_id: b""}
    assert deps.conversions.get(answer.upload_id).video.bytes == 0
    assert len(deps.events.published) == 1
    assert tus.head(answer.upload_id).status == 200
    assert tus.patch(answer.upload_id, 0).status == 204
    assert len(deps.events.published) == 1


def test_the_largest_video_is_accepted_and_no_larger_one(deps, tus):
    """The limit is a setting, and OPTIONS says it."""
    tus.create(LIMITS.max_upload_bytes)

    for length in (LIMITS.max_upload_bytes + 1, 2**63, 10**50):
        answer = tus.post(Upload_Length=str(length))
        assert (answer.status, answer.code) == (413, "too-large")
    assert len(deps.uploads.records) == 1


# Metadata


@pytest.mark.parametrize(
    ("metadata", "filename"),
    [
        (f"filename {encoded('a.mp4')}", "a.mp4"),
        (f"name {encoded('b.mp4')}", "b.mp4"),
        (f"name {encoded('b.mp4')},filename {encoded('a.mp4')}", "a.mp4"),
        (f"filename,name {encoded('b.mp4')}", "b.mp4"),
        (f"filename {encoded('../../etc/passwd')}", "passwd"),
        (f"filename {encoded('ü' * 300)}", "ü" * 127),
        (f"filename {encoded(b'caf' + bytes([0xE9]))}", "caf\ufffd"),
        ("relativePath bnVsbA==,type dmlkZW8vbXA0,filetype dmlkZW8vbXA0,is_confidential", "video"),
        ("", "video"),
        ("  ", "video"),
    ],
)
def test_the_name_comes_from_the_metadata(deps, tus, metadata, filename):
    """Clients differ in what they call it, and send other things beside it."""
    answer = tus.post(VIDEO, Upload_Length=str(LENGTH), Content_Type=BYTES, Upload_Metadata=metadata)

    assert deps.conversions.get(answer.upload_id).filename == filename


@pytest.mark.parametrize(
    "metadata",
    [
        "filename *",
        "filename QQ=",
        "filename Q",
        "filename  QQ==",
        "filename QQ== QQ==",
        "filename\tQQ==",
        " QQ==, QQ==",
        ",",
        "filename QQ==,",
        "filename QQ==,filename QQ==",
        "schön QQ==",
        "a\nb QQ==",
        "filename QQ==\r\nSet-Cookie: a=b",
        "filename QQ==\x00",
        f"filename {'QUFB' * (MAX_METADATA_BYTES // 4)}",
    ],
)
def test_metadata_that_cannot_be_read_are_refused(deps, tus, metadata):
    """They come back in the answer to HEAD, so nothing may be in them that could be taken for another header."""
    for kind in ({}, {"Upload-Concat": "partial"}):
        answer = tus.ask("POST", None, {"Upload-Length": "5", "Upload-Metadata": metadata, **kind})

        assert (answer.status, answer.code) == (400, "bad-request")
    assert deps.uploads.records == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("quality", "best", "Use one of: auto, copy, v0, v2, v4, 128, 192, 256, 320."),
        ("quality", "", "Use one of: auto, copy, v0, v2, v4, 128, 192, 256, 320."),
        ("qualty", "v0", "There is no such option. Use: quality."),
        ("Quality", "v0", "There is no such option. Use: quality."),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_uploaded(deps, tus, key, value, message):
    """Who asks for the best and gets the default after an hour of uploading would rather have been told."""
    answer = tus.post(Upload_Length="5", Upload_Metadata=f"{key} {encoded(value)}")

    assert (answer.status, answer.code) == (422, "invalid-input")
    assert answer.json["errors"] == [{"field": key, "message": message}]
    assert deps.uploads.records == {}


def test_the_options_of_a_part_mean_nothing(tus):
    """Its metadata go nowhere: those of the final upload count."""
    assert tus.post(Upload_Length="5", Upload_Concat="partial", Upload_Metadata="quality QQ==").status == 201


# PATCH


@pytest.mark.parametrize("offset", [0, 4, 6, 10**17])
def test_bytes_at_another_offset_are_refused(deps, tus, offset):
    """A client that missed an answer would tear a hole, or write twice."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:5])

    answer = tus.patch(upload_id, offset, VIDEO[5:])

    assert (answer.status, answer.code) == (409, "wrong-offset")
    assert answer.offset == tus.head(upload_id).offset == 5
    assert content(deps, upload_id) == VIDEO[:5]


@pytest.mark.parametrize("offset", [None, "", "-1", "+0", "0.0", "zero", "0, 0", "9" * 101])
def test_an_offset_must_be_a_number(tus, offset):
    answer = tus.patch(tus.create(LENGTH), 0, VIDEO, Upload_Offset=offset)

    assert (answer.status, answer.code) == (400, "bad-request")


@pytest.mark.parametrize("content_type", [None, "", "video/mp4", "application/octet-stream", f"{BYTES}+json"])
def test_bytes_come_under_their_own_content_type(tus, content_type):
    upload_id = tus.create(LENGTH)

    answer = tus.patch(upload_id, 0, VIDEO, Content_Type=content_type)

    assert (answer.status, answer.code) == (415, "unsupported-content-type")
    assert tus.head(upload_id).offset == 0


def test_more_bytes_than_were_declared_are_refused(deps, tus):
    """All of them: what is too much may as well be the wrong file."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:5])

    answer = tus.patch(upload_id, 5, VIDEO[5:] + b"!")

    assert (answer.status, answer.code) == (413, "too-large")
    assert tus.head(upload_id).offset == 5
    assert content(deps, upload_id) == VIDEO[:5]
    assert tus.patch(upload_id, 5, VIDEO[5:]).status == 204


def test_nothing_is_added_to_what_is_whole(deps, tus):
    """A PATCH without bytes, however, is what some clients ask with whether all is well."""
    for upload_id in (tus.post(VIDEO, Upload_Length=str(LENGTH), Content_Type=BYTES).upload_id, tus.part(VIDEO)):
        assert (tus.patch(upload_id, LENGTH).status, tus.patch(upload_id, LENGTH).offset) == (204, LENGTH)
        assert tus.patch(upload_id, LENGTH, b"!").status == 413
        assert tus.patch(upload_id, 0, VIDEO).status == 409
        assert tus.patch(upload_id, LENGTH, Upload_Length="5").status == 400
        assert tus.head(upload_id).offset == LENGTH
    assert len(deps.events.published) == 1


def test_a_patch_without_bytes_changes_nothing(tus):
    upload_id = tus.create(LENGTH)

    assert (tus.patch(upload_id, 0).status, tus.patch(upload_id, 0).offset) == (204, 0)


def test_two_patches_at_once_are_one_too_many(deps, tus):
    """One of them is told to wait. The offset of the other is not known yet, so a 409 would be a lie."""
    upload_id = tus.create(LENGTH)
    held = deps.uploads.hold(upload_id, "another request")

    answer = tus.patch(upload_id, 0, VIDEO)

    assert (answer.status, answer.code) == (423, "upload-locked")
    deps.uploads.release(held)
    assert tus.patch(upload_id, 0, VIDEO).status == 204


# Deferred length


@pytest.mark.parametrize("last", [b"", VIDEO[10:]])
def test_a_deferred_length_comes_with_a_patch(deps, tus, last):
    """With the last bytes, or after them."""
    upload_id = tus.create(None)
    tus.patch(upload_id, 0, VIDEO[: LENGTH - len(last)])

    answer = tus.patch(upload_id, LENGTH - len(last), last, Upload_Length=str(LENGTH))

    assert (answer.status, answer.offset) == (204, LENGTH)
    assert answer.header("Content-Location") == f"/v1/conversions/{upload_id}"
    assert deps.videos.contents == {upload_id: VIDEO}


def test_a_length_that_was_declared_stays(tus):
    """It may be said again, as after a lost answer."""
    upload_id = tus.create(None)

    assert tus.patch(upload_id, 0, VIDEO[:5], Upload_Length=str(LENGTH)).status == 204
    assert tus.head(upload_id).header("Upload-Length") == str(LENGTH)
    assert tus.head(upload_id).header("Upload-Defer-Length") is None
    assert tus.patch(upload_id, 5, VIDEO[5:9], Upload_Length=str(LENGTH)).status == 204
    for other in (LENGTH - 1, LENGTH + 1):
        assert tus.patch(upload_id, 9, VIDEO[9:], Upload_Length=str(other)).status == 400
    assert tus.head(upload_id).offset == 9


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("4", 400),
        ("-1", 400),
        ("", 400),
        ("six", 400),
        ("6", 413),
        (str(21 * 1024**3), 413),
        ("9" * 50, 413),
        ("9" * 101, 400),
    ],
)
def test_a_length_that_cannot_be_is_refused(tus, length, status):
    """Less than is there, less than comes, or more than a video may have."""
    upload_id = tus.create(None)
    tus.patch(upload_id, 0, VIDEO[:5])

    assert tus.patch(upload_id, 5, b"ab", Upload_Length=length).status == status
    assert tus.head(upload_id).offset == 5
    assert tus.head(upload_id).header("Upload-Length") is None


# Termination


@pytest.mark.parametrize("sent", [0, 5])
def test_an_upload_that_is_ended_is_gone(deps, tus, sent):
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:sent])

    assert tus.delete(upload_id).status == 204

    assert (deps.uploads.records, deps.slices.chunks) == ({}, {})
    assert [tus.head(upload_id).status, tus.patch(upload_id, sent, b"x").status, tus.delete(upload_id).status] == [
        404
    ] * 3


def test_ending_a_finished_upload_deletes_its_conversion(deps, tus):
    """It is one thing with two addresses."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO)

    assert tus.delete(upload_id).status == 204

    assert deps.videos.contents == {}
    assert (deps.uploads.records, deps.slices.chunks) == ({}, {})
    assert conversion_of(upload_id, deps) is None
    assert tus.head(upload_id).status == 404


def test_an_upload_that_a_request_adds_to_is_not_ended(deps, tus):
    """What it writes would stay behind for ever."""
    upload_id = tus.create(LENGTH)
    deps.uploads.hold(upload_id, "another request")

    answer = tus.delete(upload_id)

    assert (answer.status, answer.code) == (423, "upload-locked")
    assert tus.head(upload_id).status == 200


def test_a_deletion_that_breaks_off_can_be_repeated(deps, tus, monkeypatch):
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:5])
    with monkeypatch.context() as patched:
        patched.setattr(deps.uploads, "delete", does_not_answer)
        assert tus.delete(upload_id).status == 503

    assert tus.delete(upload_id).status == 204
    assert (deps.uploads.records, deps.slices.chunks) == ({}, {})


# Expiration


@pytest.mark.parametrize("kind", [{}, {"Upload-Concat": "partial"}])
@pytest.mark.parametrize("sent", [5, LENGTH])
def test_an_idle_upload_expires(deps, tus, kind, sent):
    """Also a part that is whole, if nobody makes a video of it."""
    upload_id = tus.ask("POST", None, {"Upload-Length": str(LENGTH + 1), **kind}).upload_id
    tus.patch(upload_id, 0, VIDEO[:sent])
    deps.clock.advance(days=1, seconds=-1)
    assert tus.head(upload_id).status == 200
    deps.clock.advance(seconds=1)

    answers = [tus.head(upload_id), tus.patch(upload_id, sent, b"x"), tus.delete(upload_id)]

    assert [(answer.status, answer.code) for answer in answers] == [(410, "upload-expired")] * 3


def test_whoever_adds_to_an_upload_keeps_it_alive(deps, tus):
    """A video of 20 GB over a slow line takes days."""
    upload_id = tus.create(LENGTH)
    for position in range(3):
        deps.clock.advance(hours=23)
        answer = tus.patch(upload_id, position, VIDEO[position : position + 1])
        assert answer.status == 204

    assert answer.header("Upload-Expires") == "Mon, 05 Jan 2026 09:00:00 GMT"


# Whose it is


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("state", ["missing", "begun", "finished", "expired", "held", "final"])
def test_what_belongs_to_somebody_else_does_not_exist(deps, tus, method, state):
    """Whatever it is like, the answer is the same to the last byte."""
    upload_id = "f" * 32 if state == "missing" else tus.create(LENGTH)
    if state == "finished":
        tus.patch(upload_id, 0, VIDEO)
    elif state == "expired":
        deps.clock.advance(days=2)
    elif state == "held":
        deps.uploads.hold(upload_id, "a request")
    elif state == "final":
        upload_id = tus.post(Upload_Concat=f"final;/v1/uploads/{tus.part(VIDEO)}").upload_id
    headers = {"Upload-Offset": "9", "Content-Type": BYTES}
    bob = TusFunction(deps, person=BOB)

    answer = bob.ask(method, upload_id, headers, b"x")

    assert answer == bob.ask(method, "0" * 31 + "e", headers, b"x")
    assert (answer.status, answer.code) == (404, "not-found")


@pytest.mark.parametrize(
    "upload_id",
    [
        "",
        ".",
        "..",
        "../conversions",
        "/etc/passwd",
        "a\x00b",
        "%2e%2e",
        "{}",
        "$ne",
        "a" * 5000,
        "ü",
        "0" * 31,
        "0" * 33,
        "g" * 32,
        "0" * 32 + "\n",
        "ABCDEF" + "0" * 26,
    ],
)
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_an_id_that_is_none_is_not_found(tus, method, upload_id):
    """Whatever stands in its place is not looked for."""
    answer = tus.ask(method, upload_id, {"Upload-Offset": "0", "Content-Type": BYTES}, b"x")

    assert (answer.status, answer.code) == (404, "not-found")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_without_a_person_nothing_happens(deps, tus, method):
    """The gateway asks the authorizer first; should it fail to, the function still knows nobody."""
    upload_id = tus.create(LENGTH)
    headers = {"Upload-Length": "5", "Upload-Offset": "0", "Content-Type": BYTES}

    answer = TusFunction(deps, person=None).ask(method, None if method == "POST" else upload_id, headers, VIDEO[:5])

    assert (answer.status, answer.code, answer.header("WWW-Authenticate")) == (401, "invalid-token", "Bearer")
    assert list(deps.uploads.records) == [upload_id]
    assert tus.head(upload_id).offset == 0


def does_not_answer(*_args, **_kwargs):
    raise Unavailable("The storage")
