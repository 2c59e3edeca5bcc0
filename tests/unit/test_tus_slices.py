"""Long bodies, which come in slices, and their checksums. Chunks are small here, so that a few bytes fill several."""

import contextlib
import hashlib
import logging
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.events import EventName
from functions.shared.problems import Unavailable
from functions.upload import appending
from functions.upload.deps import Deps
from functions.upload.finishing import conversion_of
from functions.upload.uploads import Held
from tests.fakes.upload import FakeUploads
from tests.tus_function import Answer, TusFunction, encoded, upload_deps

CHUNK = 8
VIDEO = bytes(range(60))
LENGTH = len(VIDEO)
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "md5": lambda data: hashlib.md5(data).digest(),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
}


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("functions.shared.files", "functions.upload.appending", "functions.upload.concatenation"):
            patch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
        for module in ("tests.fakes.shared", "tests.fakes.upload"):
            patch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
        patch.setattr(appending, "_HOLD_AGAIN_BYTES", 2 * CHUNK)
        yield


@pytest.fixture
def deps() -> Deps:
    return upload_deps()


@pytest.fixture
def tus(deps: Deps) -> TusFunction:
    return TusFunction(deps)


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {encoded(DIGESTS[algorithm](data))}"


def is_held(deps: Deps, upload_id: str) -> bool:
    assert isinstance(deps.uploads, FakeUploads)
    return deps.uploads.records[upload_id].held_until is not None


def let_hold_run_out(deps: Deps, upload_id: str) -> None:
    assert isinstance(deps.uploads, FakeUploads)
    record = deps.uploads.records[upload_id]
    record.held_until = record.held_until and datetime(2020, 1, 1, tzinfo=UTC)


# Without a checksum


def test_each_slice_counts_when_it_is_stored(deps, tus):
    """A connection that breaks after hours costs no more than the last slice."""
    upload_id = tus.create(LENGTH)

    assert tus.slice(upload_id, 0, 0, VIDEO[:20]).offset == 20
    assert tus.head(upload_id).offset == 20
    assert tus.slice(upload_id, 0, 20, VIDEO[20:50]).offset == 50
    last = tus.slice(upload_id, 0, 50, VIDEO[50:], "last")

    assert (last.status, last.offset) == (204, LENGTH)
    assert deps.videos.contents == {upload_id: VIDEO}
    assert not is_held(deps, upload_id)


def test_slices_may_come_at_an_offset(deps, tus):
    """Upload-Offset is what the client sent, and position counts from there."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:11])

    tus.slice(upload_id, 11, 0, VIDEO[11:20], total=str(LENGTH - 11))
    tus.slice(upload_id, 11, 9, VIDEO[20:], "last", total=str(LENGTH - 11))

    assert deps.videos.contents == {upload_id: VIDEO}


def test_between_slices_nobody_else_can_write(deps, tus):
    """Bytes of two requests would be mixed."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])

    assert tus.patch(upload_id, 20, VIDEO[20:]).status == 423
    assert tus.slice(upload_id, 20, 0, VIDEO[20:], token="t2").status == 423
    assert tus.delete(upload_id).status == 423
    assert tus.slice(upload_id, 0, 20, VIDEO[20:], "last").status == 204
    assert tus.patch(upload_id, LENGTH).status == 204


def test_a_request_that_was_silent_for_too_long_is_overtaken(deps, tus):
    """Its client may be gone for good, and another one wants to resume. Should it wake up, it is told."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])
    let_hold_run_out(deps, upload_id)
    assert tus.patch(upload_id, 20, VIDEO[20:30]).status == 204

    late = tus.slice(upload_id, 0, 20, VIDEO[20:40])

    assert (late.status, late.code) == (423, "upload-locked")
    assert tus.patch(upload_id, 30, VIDEO[30:]).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


def test_a_request_that_was_silent_goes_on_if_nobody_came(deps, tus):
    """A slow line is no reason to begin again."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])
    let_hold_run_out(deps, upload_id)

    assert tus.slice(upload_id, 0, 20, VIDEO[20:], "last").status == 204


def test_a_hold_that_is_lost_while_a_slice_is_written_is_told(deps, tus, monkeypatch):
    """What was written then does not count, and the next one writes over it."""
    upload_id = tus.create(LENGTH)
    write = deps.slices.write

    def write_slowly(held, data):
        digests = write(held, data)
        let_hold_run_out(deps, upload_id)
        deps.uploads.release(deps.uploads.hold(upload_id, "another"))
        return digests

    monkeypatch.setattr(deps.slices, "write", write_slowly)
    answer = tus.patch(upload_id, 0, VIDEO)
    monkeypatch.undo()

    assert (answer.status, answer.code) == (423, "upload-locked")
    assert tus.head(upload_id).offset == 0
    assert tus.patch(upload_id, 0, VIDEO).status == 204


def test_what_came_of_a_broken_body_is_kept(deps, tus):
    """That is what resumable means."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20], total=str(LENGTH))

    assert tus.slice(upload_id, 0, 20, VIDEO[20:33], "broken", total=str(LENGTH)).offset == 33
    assert not is_held(deps, upload_id)
    assert tus.patch(upload_id, 33, VIDEO[33:]).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("ends", ["more", "last", "broken"])
def test_a_slice_may_be_empty(deps, tus, ends):
    """Whether more comes is sometimes known only after the last byte."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])

    assert tus.slice(upload_id, 0, 20, b"", ends).offset == 20
    assert is_held(deps, upload_id) is (ends == "more")


def test_a_body_may_end_after_its_last_byte(deps, tus):
    """The video is accepted with its last byte, and the end of the body changes nothing."""
    upload_id = tus.create(LENGTH)

    assert tus.slice(upload_id, 0, 0, VIDEO).header("Content-Location")
    assert tus.slice(upload_id, 0, LENGTH, b"", "last").header("Content-Location")

    assert not is_held(deps, upload_id)
    assert len(deps.events.published) == 1


def test_too_long_a_body_is_refused_at_its_first_slice(deps, tus):
    """Nobody should send gigabytes in vain."""
    upload_id = tus.create(LENGTH)

    answer = tus.slice(upload_id, 0, 0, VIDEO[:20], total=str(LENGTH + 1))

    assert (answer.status, answer.code) == (413, "too-large")
    assert tus.head(upload_id).offset == 0
    assert not is_held(deps, upload_id)


def test_a_body_of_unknown_length_is_refused_when_it_gets_too_long(deps, tus):
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:50])

    assert tus.slice(upload_id, 0, 50, VIDEO[50:] + b"!").status == 413

    assert tus.head(upload_id).offset == 50
    assert not is_held(deps, upload_id)


def test_a_deferred_length_may_come_with_slices(deps, tus):
    """Each slice has the headers of the whole request."""
    upload_id = tus.create(None)

    assert tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Length=str(LENGTH)).status == 204
    assert tus.slice(upload_id, 0, 20, VIDEO[20:], "last", Upload_Length=str(LENGTH)).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("ends", ["more", "last"])
def test_a_slice_may_come_twice(deps, tus, ends):
    """The gateway sends it again if it got no answer."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])
    for _ in range(2):
        answer = tus.slice(upload_id, 0, 20, VIDEO[20:40], ends)
        assert (answer.status, answer.offset) == (204, 40)

    assert is_held(deps, upload_id) is (ends == "more")
    assert tus.slice(upload_id, 0, 40, VIDEO[40:], "last").status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


def test_the_last_slice_of_all_may_come_twice(deps, tus):
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])
    for _ in range(2):
        answer = tus.slice(upload_id, 0, 20, VIDEO[20:], "last")
        assert (answer.status, answer.offset) == (204, LENGTH)

    assert not is_held(deps, upload_id)
    assert len(deps.events.published) == 1


def test_a_slice_with_other_bytes_is_no_repetition(deps, tus):
    """Somebody else's bytes are there."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:40])

    assert tus.slice(upload_id, 0, 20, VIDEO[21:41]).status == 423
    assert tus.slice(upload_id, 0, 20, VIDEO[20:30]).status == 423
    assert not is_held(deps, upload_id)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t",
        "t;0;*",
        "t;0;*;done",
        "t;-1;*;more",
        "t;0;-1;more",
        "t;x;*;more",
        ";0;*;more",
        "t;0;*;more;",
        "t;1e3;*;last",
    ],
)
def test_a_slice_that_does_not_say_what_it_is_is_refused(deps, tus, header):
    """Behind a gateway that is not ours a client can send this header, too."""
    answer = tus.patch(tus.create(LENGTH), 0, VIDEO, X_Body_Slice=header)

    assert (answer.status, answer.code) == (400, "bad-request")


def test_a_slice_behind_a_gap_is_refused(deps, tus):
    upload_id = tus.create(LENGTH)

    assert tus.slice(upload_id, 0, 20, VIDEO[20:]).status == 423
    assert tus.slice(upload_id, 0, 20, VIDEO[20:], Upload_Checksum=checksum(VIDEO)).status == 423
    assert not is_held(deps, upload_id)


# With a checksum


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_body_that_is_right_is_stored(deps, tus, algorithm):
    upload_id = tus.create(LENGTH)

    assert tus.patch(upload_id, 0, VIDEO[:13], Upload_Checksum=checksum(VIDEO[:13], algorithm)).offset == 13
    assert tus.patch(upload_id, 13, VIDEO[13:], Upload_Checksum=checksum(VIDEO[13:], algorithm)).offset == LENGTH
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("algorithm", DIGESTS)
@pytest.mark.parametrize("start", [0, 8, 13])
def test_slices_that_are_right_count_together(deps, tus, algorithm, start):
    """A checksum is that of the whole body, so nothing is known before its end."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:start])
    header = checksum(VIDEO[start:50], algorithm)
    for position, ends in ((0, "more"), (7, "more"), (21, "last")):
        assert tus.head(upload_id).offset == start
        end = {0: 7, 7: 21, 21: 50 - start}[position]
        piece = VIDEO[start + position : start + end]
        answer = tus.slice(upload_id, start, position, piece, ends, Upload_Checksum=header)
        assert answer.status == 204

    assert answer.offset == tus.head(upload_id).offset == 50
    assert not is_held(deps, upload_id)
    assert tus.patch(upload_id, 50, VIDEO[50:]).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_wrong_body_does_not_count(deps, tus, slices):
    """It was damaged on its way: it comes again, from where it began."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:13])
    header = checksum(b"another body")
    for number in range(slices - 1):
        piece = VIDEO[13 + 10 * number : 23 + 10 * number]
        assert tus.slice(upload_id, 13, 10 * number, piece, Upload_Checksum=header).status == 204
    rest = VIDEO[3 + 10 * slices :]

    if slices == 1:
        answer = tus.patch(upload_id, 13, rest, Upload_Checksum=header)
    else:
        answer = tus.slice(upload_id, 13, 10 * (slices - 1), rest, "last", Upload_Checksum=header)

    assert (answer.status, answer.code) == (460, "wrong-checksum")
    assert tus.head(upload_id).offset == 13
    assert not is_held(deps, upload_id)
    assert tus.patch(upload_id, 13, VIDEO[13:]).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


def test_nothing_is_kept_of_a_broken_body_with_a_checksum(deps, tus):
    """Nobody can say whether that part of it is right."""
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO)
    tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header)

    assert tus.slice(upload_id, 0, 20, VIDEO[20:30], "broken", Upload_Checksum=header).offset == 0
    assert not is_held(deps, upload_id)
    assert tus.patch(upload_id, 0, VIDEO).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("ends", ["more", "last"])
def test_a_slice_with_a_checksum_may_come_twice(deps, tus, ends):
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO[:50])
    tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header)
    for _ in range(2):
        end = 40 if ends == "more" else 50
        assert tus.slice(upload_id, 0, 20, VIDEO[20:end], ends, Upload_Checksum=header).status == 204
    if ends == "more":
        tus.slice(upload_id, 0, 40, VIDEO[40:50], "last", Upload_Checksum=header)

    assert tus.head(upload_id).offset == 50
    assert tus.patch(upload_id, 50, VIDEO[50:]).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


def test_an_overtaken_body_with_a_checksum_is_told(deps, tus):
    """What it had staged is written over."""
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO)
    tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header)
    let_hold_run_out(deps, upload_id)
    deps.uploads.release(deps.uploads.hold(upload_id, "another"))

    assert tus.slice(upload_id, 0, 20, VIDEO[20:], "last", Upload_Checksum=header).status == 423
    assert tus.patch(upload_id, 0, VIDEO).status == 204


def test_a_body_that_takes_long_to_check_goes_on_holding(deps, tus, monkeypatch):
    """Reading gigabytes takes longer than a hold lasts."""
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO)
    tus.slice(upload_id, 0, 0, VIDEO[:40], Upload_Checksum=header)
    staged: list[int] = []
    stage = deps.uploads.stage

    def stage_and_note(held: Held, count: int) -> None:
        staged.append(count)
        stage(held, count)

    monkeypatch.setattr(deps.uploads, "stage", stage_and_note)

    assert tus.slice(upload_id, 0, 40, VIDEO[40:], "last", Upload_Checksum=header).status == 204
    assert staged[1:-1] == [LENGTH] * 3


def test_a_body_that_would_take_too_long_to_check_is_refused(deps, tus, monkeypatch):
    """At once, not after the time of a function is over."""
    monkeypatch.setattr(appending, "MAX_CHECKED_BYTES", 30)
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO[:31])

    known = tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header, total="31")
    assert (known.status, known.code) == (413, "too-large")
    assert tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header).status == 204
    assert tus.slice(upload_id, 0, 20, VIDEO[20:31], "last", Upload_Checksum=header).status == 413
    assert tus.head(upload_id).offset == 0
    assert not is_held(deps, upload_id)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sha1",
        "sha512 AAAA",
        "SHA1 AAAA",
        "sha1 ****",
        "sha1 QQ",
        "sha1  QQ==",
        "sha1 QQ== QQ==",
        " sha1 QQ==",
        "md5:QQ==",
    ],
)
def test_a_checksum_that_cannot_be_read_is_refused(deps, tus, header):
    """To ignore it would mean to store what nobody checked."""
    upload_id = tus.create(LENGTH)

    for answer in (
        tus.patch(upload_id, 0, VIDEO, Upload_Checksum=header),
        tus.slice(upload_id, 0, 0, VIDEO, Upload_Checksum=header),
    ):
        assert (answer.status, answer.code) == (400, "bad-request")
    assert tus.head(upload_id).offset == 0


# A storage that fails


@pytest.mark.parametrize("port", ["uploads.hold", "slices.write", "uploads.advance"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_slice_that_could_not_be_stored_comes_again(deps, tus, port, is_done):
    """The gateway waits while a database restarts. Meanwhile nobody else gets in."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20])

    with failing(deps, port, is_done=is_done):
        answer = tus.slice(upload_id, 0, 20, VIDEO[20:45])

    assert (answer.status, answer.code) == (503, "unavailable")
    assert tus.patch(upload_id, 20, b"x").status == 423
    assert tus.slice(upload_id, 0, 20, VIDEO[20:45]).offset == 45
    tus.slice(upload_id, 0, 45, VIDEO[45:], "last")
    assert deps.videos.contents == {upload_id: VIDEO}


@pytest.mark.parametrize("port", ["uploads.hold", "slices.write", "uploads.stage"])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_slice_with_a_checksum_that_could_not_be_stored_comes_again(deps, tus, port, is_done):
    upload_id = tus.create(LENGTH)
    header = checksum(VIDEO)
    tus.slice(upload_id, 0, 0, VIDEO[:20], Upload_Checksum=header)

    with failing(deps, port, is_done=is_done):
        assert tus.slice(upload_id, 0, 20, VIDEO[20:45], Upload_Checksum=header).status == 503

    assert tus.slice(upload_id, 0, 20, VIDEO[20:45], Upload_Checksum=header).status == 204
    assert tus.slice(upload_id, 0, 45, VIDEO[45:], "last", Upload_Checksum=header).status == 204
    assert deps.videos.contents == {upload_id: VIDEO}


def test_a_whole_body_that_could_not_be_stored_does_not_lock_the_upload(deps, tus):
    """Its client comes again as another request."""
    upload_id = tus.create(LENGTH)

    with failing(deps, "slices.write", is_done=False):
        assert tus.patch(upload_id, 0, VIDEO).status == 503

    assert tus.patch(upload_id, 0, VIDEO).status == 204


def test_a_hold_that_cannot_be_given_back_does_not_hide_why(deps, tus):
    """The first failure is the one that matters. The hold runs out."""
    upload_id = tus.create(LENGTH)

    with failing(deps, "uploads.release", is_done=False):
        assert tus.patch(upload_id, 5, VIDEO).status == 409

    assert is_held(deps, upload_id)


def test_damage_is_told(deps, tus):
    """Bytes that changed in storage must not become part of a video, nor be taken for a fault of the client."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:11])
    deps.slices.chunks[upload_id][1].data = b"\xff\xff\xff"

    answer = tus.patch(upload_id, 11, VIDEO[11:])

    assert (answer.status, answer.code) == (500, "storage-corrupt")
    assert not is_held(deps, upload_id)
    assert tus.delete(upload_id).status == 204


@pytest.mark.parametrize(
    "port", ["slices.write", "uploads.stage", "uploads.digests", "slices.finish", "conversions.add", "uploads.advance"]
)
@pytest.mark.parametrize("is_done", [False, True])
def test_the_last_bytes_may_come_again_after_any_failure(deps, tus, port, is_done):
    """Wherever the function dies, the client learns the truth, and the video is accepted once."""
    upload_id = tus.create(LENGTH)
    tus.patch(upload_id, 0, VIDEO[:20])

    with failing(deps, port, is_done=is_done):
        assert tus.patch(upload_id, 20, VIDEO[20:]).status == 503
    deps.uploads.records[upload_id].held_until = None

    head = tus.head(upload_id)
    is_accepted = conversion_of(upload_id, deps) is not None
    assert is_accepted is (head.offset == LENGTH) is (head.header("Content-Location") is not None)
    if not is_accepted:
        assert tus.patch(upload_id, head.offset, VIDEO[head.offset :]).status == 204
    assert tus.head(upload_id).offset == LENGTH
    assert deps.videos.contents == {upload_id: VIDEO}
    assert len(events_of(deps, upload_id)) == 1


def test_an_accepted_video_is_not_written_to(deps, tus):
    """Its conversion may be reading it, while the client still believes that the last bytes were lost."""
    upload_id = tus.create(LENGTH)
    with failing(deps, "uploads.advance", is_done=False):
        tus.patch(upload_id, 0, VIDEO)
    deps.uploads.records[upload_id].held_until = None

    assert tus.patch(upload_id, 0, VIDEO[:5]).status == 409
    assert tus.patch(upload_id, LENGTH).status == 204
    assert b"".join(deps.videos.read(upload_id)) == VIDEO


def test_a_late_slice_of_a_body_writes_nothing_into_an_accepted_video(deps, tus):
    """It was silent for longer than its hold. Another request brought the rest, and nobody could write that down."""
    upload_id = tus.create(LENGTH)
    tus.slice(upload_id, 0, 0, VIDEO[:20], token="slow")
    let_hold_run_out(deps, upload_id)
    with failing(deps, "uploads.advance", is_done=False):
        assert tus.patch(upload_id, 20, VIDEO[20:]).status == 503
    let_hold_run_out(deps, upload_id)

    assert tus.slice(upload_id, 0, 20, bytes(20), token="slow").status == 423

    assert b"".join(deps.slices.read(upload_id, 0, LENGTH)) == VIDEO


def test_an_upload_that_was_deleted_meanwhile_becomes_no_conversion(deps, tus, monkeypatch):
    """A function that stalled for longer than its hold must not bring back what a person has deleted."""
    upload_id = tus.create(LENGTH)
    write = deps.slices.write

    def write_slowly(held, data):
        digests = write(held, data)
        let_hold_run_out(deps, upload_id)
        assert tus.delete(upload_id).status == 204
        return digests

    monkeypatch.setattr(deps.slices, "write", write_slowly)

    assert tus.patch(upload_id, 0, VIDEO).status == 423
    assert conversion_of(upload_id, deps) is None
    assert tus.head(upload_id).status == 404


# Any sequence of all that


class Request(NamedTuple):
    """How one PATCH goes: where its body is cut, and how it ends."""

    cuts: list[int]
    ends: str
    length: int
    algorithm: str | None
    is_damaged: bool


requests = st.builds(
    Request,
    cuts=st.lists(st.integers(0, LENGTH), max_size=4),
    ends=st.sampled_from(["last", "last", "broken", "silence"]),
    length=st.integers(0, LENGTH),
    algorithm=st.sampled_from([None, None, *DIGESTS]),
    is_damaged=st.booleans(),
)
faults = st.lists(st.sampled_from(["ok", "ok", "ok", "lost", "fails"]), max_size=40)


@given(plan=st.lists(requests, max_size=8), faults=faults, deferred=st.booleans())
@settings(deadline=None, max_examples=300)
def test_whatever_happens_on_the_way_the_same_video_arrives_once(plan, faults, deferred):
    """Broken connections, lost answers, repeated slices, failing storage: this is what resumable uploads are for."""
    deps: Any = upload_deps()
    tus = TusFunction(deps)
    upload_id = tus.create(None if deferred else LENGTH)
    sender = Sender(tus, deps, upload_id, deferred=deferred)

    with quiet(), flaky(deps, faults):
        for request in plan:
            sender.send(request)
    offset = sender.offset()
    sender.send(Request([], "last", LENGTH, None, is_damaged=False))

    assert offset <= LENGTH
    assert sender.offset() == LENGTH
    assert deps.videos.contents == {upload_id: VIDEO}
    assert conversion_of(upload_id, deps) is not None
    assert len(events_of(deps, upload_id)) == 1
    assert not is_held(deps, upload_id)


class Sender:
    """A client with its gateway: it resumes where the upload says, and sends a slice again that got no answer."""

    def __init__(self, tus: TusFunction, deps: Deps, upload_id: str, *, deferred: bool) -> None:
        self._tus, self._deps, self._upload_id, self._deferred = tus, deps, upload_id, deferred
        self._requests = 0

    def offset(self) -> int:
        return self._patiently(lambda: self._tus.head(self._upload_id)).offset

    def send(self, request: Request) -> None:
        let_hold_run_out(self._deps, self._upload_id)
        offset = self.offset()
        if offset == LENGTH:
            return
        self._requests += 1
        body = VIDEO[offset : offset + request.length]
        headers: dict[str, Any] = {"token": f"request-{self._requests}", "total": str(len(body))}
        if self._deferred:
            headers["Upload_Length"] = str(LENGTH)
        if request.algorithm:
            header = checksum(body, request.algorithm)
            headers["Upload_Checksum"] = header
            # Without a checksum nobody would notice.
            body = bytes(len(body)) if request.is_damaged else body
        self._send_slices(offset, body, request, headers)

    def _send_slices(self, offset: int, body: bytes, request: Request, headers: dict[str, Any]) -> None:
        edges = sorted({0, len(body), *(cut for cut in request.cuts if cut < len(body))})
        slices = list(zip(edges, [*edges[1:], edges[-1]], strict=True))[: max(1, len(edges) - 1)]
        for start, end in slices:
            is_last = end == len(body)
            if is_last and request.ends == "silence":
                return
            ends = request.ends if is_last else "more"
            piece = body[start : end - 1] if ends == "broken" else body[start:end]
            answer = self._patiently(partial(self._tus.slice, self._upload_id, offset, start, piece, ends, **headers))
            if answer.status != 204:
                return

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        for _ in range(5):
            answer = ask()
            if answer.status != 503:
                break
        return answer


def events_of(deps: Any, upload_id: str) -> set[str]:
    """Return the ids of the events that were published or are owed."""
    published = {event.id for event in deps.events.published}
    return published | {event.id for event in deps.outbox.owed(EventName.VIDEO_UPLOADED, 99)}


_PORTS = (
    "uploads.hold",
    "uploads.stage",
    "uploads.advance",
    "uploads.release",
    "uploads.get",
    "uploads.digests",
    "slices.write",
    "slices.finish",
    "conversions.add",
    "conversions.get",
)


@contextlib.contextmanager
def failing(deps: Deps, port: str, *, is_done: bool) -> Iterator[None]:
    """In the block one method of a port is done or not, but answers nothing."""
    with patched(deps, port, lambda: "lost" if is_done else "fails"):
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Log nothing in the block, where thousands of failures are on purpose."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def flaky(deps: Deps, faults: list[str]) -> Iterator[None]:
    """In the block each call of a port goes as `faults` say, one after the other."""
    left = iter(faults)
    with contextlib.ExitStack() as stack:
        for port in _PORTS:
            stack.enter_context(patched(deps, port, lambda: next(left, "ok")))
        yield


@contextlib.contextmanager
def patched(deps: Deps, port: str, fault: Callable[[], str]) -> Iterator[None]:
    name, _, method = port.partition(".")
    target = getattr(deps, name)
    done = getattr(target, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        what = fault()
        if what == "fails":
            raise Unavailable("The storage")
        result = done(*args, **kwargs)
        if what == "lost":
            raise Unavailable("The storage")
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, method, call)
        yield
