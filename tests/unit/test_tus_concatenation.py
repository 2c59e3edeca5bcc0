"""Partial uploads, and the videos that are made of them. Chunks and steps are small here."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from functions.shared.conversions import ConversionMissing
from functions.shared.events import EventName
from functions.shared.problems import Unavailable
from functions.upload import concatenation
from functions.upload.finishing import conversion_of
from tests.tus_function import BOB, BYTES, LIMITS, Answer, Context, TusFunction, encoded, upload_deps

CHUNK = 8
STEP = 16
PARTS = [bytes(range(21)), bytes(range(100, 108)), bytes(range(200, 233))]
VIDEO = b"".join(PARTS)
METADATA = f"filename {encoded('Ferien.mp4')}"


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("functions.shared.files", "functions.upload.appending", "functions.upload.concatenation"):
            patch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
        for module in ("tests.fakes.shared", "tests.fakes.upload"):
            patch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
        patch.setattr(concatenation, "STEP_BYTES", STEP)
        yield


@pytest.fixture
def deps() -> Any:
    return upload_deps()


@pytest.fixture
def tus(deps: Any) -> TusFunction:
    return TusFunction(deps)


@pytest.fixture
def parts(tus: TusFunction) -> list[str]:
    return [tus.part(part) for part in PARTS]


def join(tus: TusFunction, parts: list[str], before: str = "/v1/uploads/", **headers: Any) -> Answer:
    concat = "final;" + " ".join(before + part for part in parts)
    return tus.post(Upload_Concat=concat, Upload_Metadata=METADATA, **headers)


def test_parts_become_one_video(deps, tus, parts):
    """Parallel uploads are faster on long lines."""
    answer = join(tus, parts)

    assert (answer.status, answer.offset) == (201, len(VIDEO))
    assert answer.header("Content-Location") == f"/v1/conversions/{answer.upload_id}"
    assert deps.videos.contents == {answer.upload_id: VIDEO}
    conversion = deps.conversions.get(answer.upload_id)
    assert (conversion.filename, conversion.video.bytes) == ("Ferien.mp4", len(VIDEO))
    assert [event.conversion_id for event in deps.events.published] == [answer.upload_id]


def test_parts_expire_soon_after_the_video_is_accepted(deps, tus, parts):
    """They cost twice the room. But a client that lost the answer looks for them, and would send all of it again."""
    join(tus, parts)

    assert [tus.head(part).status for part in parts] == [200] * 3
    deps.clock.advance(minutes=11)
    assert [tus.head(part).status for part in parts] == [410] * 3


def test_head_of_a_final_upload_says_what_it_is_made_of(tus, parts):
    answer = tus.head(join(tus, parts).upload_id)

    assert answer.header("Upload-Concat") == "final;" + " ".join(f"/v1/uploads/{part}" for part in parts)
    assert (answer.offset, answer.header("Upload-Length")) == (len(VIDEO), str(len(VIDEO)))
    assert answer.header("Upload-Metadata") == METADATA


def test_nothing_is_added_to_a_final_upload(deps, tus, parts):
    """It would not be what its parts say."""
    final = join(tus, parts).upload_id

    for answer in (tus.patch(final, len(VIDEO), b"x"), tus.patch(final, 0), tus.slice(final, 0, 9, b"x")):
        assert (answer.status, answer.code) == (403, "final-upload")
    bytes_with_it = tus.ask("POST", None, {"Upload-Concat": f"final;/v1/uploads/{final}", "Content-Type": BYTES}, b"x")
    assert (bytes_with_it.status, bytes_with_it.code) == (403, "final-upload")
    assert deps.videos.contents == {final: VIDEO}


@pytest.mark.parametrize(
    "before", ["https://example.com:8443/v1/uploads/", "//h/behind/a/proxy/v1/uploads/", "uploads/"]
)
def test_parts_may_be_named_by_any_form_of_their_url(tus, parts, before):
    """Clients send back what they made of Location."""
    assert join(tus, parts, before).status == 201


def test_a_part_may_come_more_than_once(deps, tus, parts):
    """As an interval in a film does."""
    first, second, _ = parts

    answer = join(tus, [first, second, first, first])

    assert deps.videos.contents == {answer.upload_id: PARTS[0] + PARTS[1] + PARTS[0] * 2}


@pytest.mark.parametrize("contents", [[b"", b""], [b"", b"abc", b""]])
def test_parts_may_be_empty(deps, tus, contents):
    parts = [tus.post(Upload_Concat="partial", Upload_Length="0").upload_id if not c else tus.part(c) for c in contents]

    answer = join(tus, parts)

    assert deps.videos.contents == {answer.upload_id: b"".join(contents)}


# What is refused


@pytest.mark.parametrize(
    "concat",
    [
        *("final", "final;", "final; ", "finally;/v1/uploads/{part}", "final;{part}", "final;/v1/uploads/", "FINAL;x"),
        *("final;/v1/uploads/{part},/v1/uploads/{part}", "final;/v1/conversions/{part}", "final;/v1/uploads/{part}?a"),
        *(
            "final;/v1/uploads/../{part}",
            "final;/v1/uploads/{part}/..",
            "final;/v1/uploads/{part} x",
            "full",
            "partial;",
        ),
        "final;/v1/uploads/{part}\r\nSet-Cookie: a=b",
    ],
)
def test_a_list_that_cannot_be_read_is_refused(deps, tus, concat):
    part = tus.part(b"abc")
    before = list(deps.uploads.records)

    answer = tus.post(Upload_Concat=concat.replace("{part}", part), Upload_Length=None)

    assert (answer.status, answer.code) == (400, "bad-request")
    assert list(deps.uploads.records) == before


@pytest.mark.parametrize("lengths", [{"Upload_Length": str(len(VIDEO))}, {"Upload_Defer_Length": "1"}])
def test_a_final_upload_has_the_length_of_its_parts(tus, parts, lengths):
    """So says tus; another would be a mistake of the client."""
    assert join(tus, parts, **lengths).status == 400


def test_only_whole_parts_make_a_video(deps, tus, parts):
    """A gap would be filled with nothing."""
    unfinished = tus.create(5, Upload_Concat="partial")
    tus.patch(unfinished, 0, b"abc")
    deferred = tus.post(b"abc", Upload_Defer_Length="1", Upload_Concat="partial", Content_Type=BYTES).upload_id
    video = tus.post(VIDEO, Upload_Length=str(len(VIDEO)), Content_Type=BYTES).upload_id

    for wrong in (unfinished, deferred, video, join(tus, parts).upload_id):
        answer = join(tus, [tus.part(b"abc"), wrong])
        assert (answer.status, answer.code) == (400, "bad-request")
        assert wrong in answer.json["detail"]


def test_parts_that_are_not_there_make_no_video(deps, tus, parts):
    """Be they nobody's or somebody else's: one answer for both."""
    theirs = TusFunction(deps, person=BOB).part(b"secret")

    for wrong in (theirs, "f" * 32):
        answer = join(tus, [*parts, wrong])
        assert (answer.status, answer.code) == (404, "not-found")
    assert tus.head(parts[0]).status == 200


def test_a_part_that_has_expired_makes_no_video(deps, tus, parts):
    """Its bytes may be gone."""
    deps.clock.advance(days=2)

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (410, "upload-expired")


def test_a_wrong_option_is_told_before_anything_is_joined(deps, tus, parts):
    answer = tus.post(Upload_Concat=f"final;/v1/uploads/{parts[0]}", Upload_Metadata="quality QQ==")

    assert (answer.status, answer.code) == (422, "invalid-input")
    assert tus.head(parts[0]).status == 200


def test_a_video_of_parts_may_not_be_too_large():
    """Small parts must not get around the limit."""
    tus = TusFunction(upload_deps(limits(max_upload_bytes=40)))
    parts = [tus.part(part) for part in PARTS]

    assert join(tus, parts).status == 413
    assert join(tus, parts[:2] * 2).status == 413
    assert join(tus, parts[:2]).status == 201


def test_joining_needs_no_room_but_for_parts_that_come_twice():
    """The parts are counted already, and go."""
    tus = TusFunction(upload_deps(limits(quota_bytes=len(VIDEO) + 10)))
    parts = [tus.part(part) for part in PARTS]

    answer = join(tus, [*parts, parts[0]])

    assert (answer.status, answer.code) == (403, "quota-exceeded")
    assert join(tus, parts).status == 201


# Again, and at once


def test_joining_again_finds_the_same_video(deps, tus, parts):
    """The first answer may have been lost, even if the parts are gone by then."""
    first = join(tus, parts)

    assert join(tus, parts) == first
    assert len(deps.events.published) == 1
    assert list(deps.conversions._database.records) == [first.upload_id]


def test_other_metadata_or_another_order_make_another_video(tus, parts):
    """Only the same request is the same video; other people's never are."""
    finals = [
        join(tus, parts),
        join(tus, parts[::-1]),
        tus.post(Upload_Concat="final;" + " ".join(f"/v1/uploads/{part}" for part in parts)),
    ]

    assert len({answer.upload_id for answer in finals}) == 3


def test_joining_goes_on_where_time_ran_out(deps, tus, parts):
    """A function has 29 seconds, and 20 GB take longer."""
    tus.context = Context(29_000, 29_000, 3_999)

    first = join(tus, parts)

    assert (first.status, first.code, first.header("Retry-After")) == (503, "unavailable", "1")
    assert first.json["detail"].startswith(f"{2 * STEP} of {len(VIDEO)} bytes are joined.")
    final = next(upload for upload in deps.uploads.records if upload not in parts)
    head = tus.head(final)
    assert (head.status, head.header("Upload-Offset"), head.header("Upload-Length")) == (200, None, str(len(VIDEO)))
    read = reads_of(deps)
    second = join(tus, parts)
    assert (second.status, second.upload_id) == (201, final)
    assert deps.videos.contents == {final: VIDEO}
    assert parts[0] not in read


def test_joining_that_nobody_went_on_with_expires(deps, tus, parts):
    """Sweep may be deleting what was joined. To go on would be to lose the video after it was accepted."""
    tus.context = Context(29_000, 1_000)
    assert join(tus, parts).status == 503
    deps.clock.advance(days=2)

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (410, "upload-expired")
    assert deps.events.published == []


def test_the_same_request_twice_at_once_is_one_too_many(deps, tus, parts):
    """Both would write the same bytes."""
    tus.context = Context(29_000, 1_000)
    join(tus, parts)
    final = next(upload for upload in deps.uploads.records if upload not in parts)
    held = deps.uploads.hold(final, "the other one")

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (423, "upload-locked")
    deps.uploads.release(held)
    assert join(tus, parts).status == 201


def test_the_same_request_twice_at_the_same_moment_makes_one_upload(deps, tus, parts, monkeypatch):
    """Both see that there is none, and one of them is first."""
    add = deps.uploads.add
    monkeypatch.setattr(deps.uploads, "add", lambda upload: (add(upload), add(upload)))

    assert join(tus, parts).status == 201


def test_a_request_that_comes_when_the_other_is_done_deletes_nothing(deps, tus, parts, monkeypatch):
    """It has seen that there was no video yet, and now finds no parts."""
    get = deps.conversions.get

    def get_before_the_other(conversion_id: str) -> Any:
        monkeypatch.setattr(deps.conversions, "get", get)
        assert join(tus, parts).status == 201
        raise ConversionMissing(conversion_id)

    monkeypatch.setattr(deps.conversions, "get", get_before_the_other)

    answer = join(tus, parts)

    assert answer.status == 201
    assert deps.videos.contents == {answer.upload_id: VIDEO}


@pytest.mark.parametrize("port", ["uploads.add", "slices.write", "uploads.advance", "slices.finish", "conversions.add"])
@pytest.mark.parametrize(("call", "is_done"), [(1, False), (1, True), (2, False), (2, True)])
def test_joining_goes_on_after_any_failure(deps, parts, port, call, is_done):
    """Wherever the function dies, the same request ends with the same video."""
    tus = TusFunction(deps)
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, deps, port, call=call, is_done=is_done)
        first = join(tus, parts)
    if first.status != 201:
        assert (first.status, first.code) == (503, "unavailable")

    answer = join(tus, parts)

    assert answer.status == 201
    assert deps.videos.contents == {answer.upload_id: VIDEO}
    assert {event.id for event in deps.events.published} <= {answer.upload_id}
    assert len({*deps.events.published, *deps.outbox.owed(EventName.VIDEO_UPLOADED, 9)}) >= 1
    assert answer.upload_id in deps.uploads.records


def test_a_video_counts_even_if_its_parts_stay(deps, tus, parts, monkeypatch):
    """They expire as they would have."""
    with monkeypatch.context() as patch:
        fail(patch, deps, "uploads.hold", call=2, is_done=False)
        assert join(tus, parts).status == 201

    assert join(tus, parts).status == 201


# What goes wrong with parts


def test_a_part_that_was_damaged_makes_no_video(deps, tus, parts):
    """Its digests are compared while it is copied."""
    deps.slices.chunks[parts[1]][0].data = bytes(8)

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (500, "storage-corrupt")
    assert deps.videos.contents == {}


def test_a_part_that_is_deleted_while_it_is_copied_makes_no_video(deps, tus, parts, monkeypatch):
    """What was copied goes, too: it can never become whole."""
    write = deps.slices.write

    def write_and_delete(held: Any, data: bytes) -> Any:
        digests = write(held, data)
        if parts[2] in deps.uploads.records:
            assert tus.delete(parts[2]).status == 204
        return digests

    monkeypatch.setattr(deps.slices, "write", write_and_delete)

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (404, "not-found")
    assert sorted(deps.uploads.records) == sorted(deps.slices.chunks) == sorted(parts[:2])


def test_a_video_that_was_deleted_is_not_made_again(deps, tus, parts):
    """Its conversion's id is used up. Rather than an upload that leads nowhere there is none."""
    final = join(tus, parts).upload_id
    deps.conversions.delete(final, deps.clock())

    answer = join(tus, parts)

    assert (answer.status, answer.code) == (404, "not-found")
    assert final not in deps.uploads.records
    assert final not in deps.slices.chunks
    assert join(tus, parts).status == 404


def test_a_final_upload_can_be_ended(deps, tus, parts):
    """With its conversion; the parts go as they would have."""
    final = join(tus, parts).upload_id

    assert tus.delete(final).status == 204
    assert conversion_of(final, deps) is None
    assert deps.videos.contents == {}
    assert sorted(deps.uploads.records) == sorted(deps.slices.chunks) == sorted(parts)


def limits(**changes: Any) -> Any:
    return replace(LIMITS, **changes)


def reads_of(deps: Any) -> list[str]:
    """Return a list to which the id of each upload is added that is read from now on."""
    read = deps.slices.read
    ids: list[str] = []

    def note(upload_id: str, *args: Any) -> Any:
        ids.append(upload_id)
        return read(upload_id, *args)

    deps.slices.read = note
    return ids


def fail(patch: pytest.MonkeyPatch, deps: Any, port: str, *, call: int, is_done: bool) -> None:
    """Let one call of a port's method answer nothing, whether it is done or not."""
    name, _, method = port.partition(".")
    target = getattr(deps, name)
    done: Callable[..., Any] = getattr(target, method)
    calls = iter(range(1, 1000))

    def answer(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        if number == call and not is_done:
            raise Unavailable("The storage")
        result = done(*args, **kwargs)
        if number == call:
            raise Unavailable("The storage")
        return result

    patch.setattr(target, method, answer)
