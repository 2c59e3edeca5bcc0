"""Uploads from the first byte to the MP3, and between people, who are not all friends."""

import threading

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.media import Media
from tests.tus import (
    BYTES,
    MIB,
    UPLOADS,
    Answer,
    Headers,
    Tus,
    metadata,
    noise,
    sha256,
    stored,
    upload_id,
)
from video2mp3 import State

HELLO = b"hello world"


def test_a_video_that_comes_in_pieces_becomes_an_mp3(tus: Tus, database: Database[Document], media: Media) -> None:
    """The main job, the resumable way."""
    video = media.video("mp4 moov last").read_bytes()
    path = tus.create(len(video), metadata({"filename": "a walk.mp4"}))
    third = len(video) // 3

    assert tus.patch(path, 0, video[:third]).offset == third
    assert tus.offset(path) == third
    last = tus.patch(path, third, video[third:])

    assert (last.status, last.offset) == (204, len(video))
    assert tus.path_of(last, "Content-Location") == f"/v1/conversions/{upload_id(path)}"
    done = tus.person.wait(upload_id(path), timeout_s=60)
    assert (done.state, done.filename) == (State.COMPLETED, "a walk.mp4")
    assert (done.video.bytes, done.video.sha256) == (len(video), sha256(video))
    assert stored(database, path) == video


def test_what_is_no_video_is_taken_and_then_said_to_be_none(tus: Tus) -> None:
    """Only the last byte makes it whole; the e-mail then says why there is no MP3."""
    path = tus.store(b"<!doctype html><html><body>" + b"x" * 10_000, metadata({"filename": "page.mp4"}))

    done = tus.person.wait(upload_id(path), timeout_s=60)

    assert done.state == State.FAILED
    assert done.error is not None
    assert done.error.type == "unsupported-media"


def test_the_headers_of_the_gateway_open_nobody_elses_upload(
    tus: Tus, stranger: Tus, database: Database[Document]
) -> None:
    """The gateway removes them from requests. API Gateway does not, so the function must not trust them."""
    path = tus.create(len(HELLO))
    assert tus.patch(path, 0, HELLO[:4]).status == 204
    form = {"Tus-Resumable": None, "Content-Type": "application/x-www-form-urlencoded"}

    taken = stranger.ask("POST", "/v1/conversions", {**form, "X-Stored-Upload": upload_id(path)}, b"quality=v2")
    written = stranger.patch(path, 4, b"another", {"X-Body-Slice": "token;0;7;last"})

    # What the header names is not there for a stranger; without the header it is a form without a video.
    assert taken.status in {400, 404}
    assert written.status == 404
    assert tus.patch(path, 4, HELLO[4:]).offset == len(HELLO)
    assert stored(database, path) == HELLO


def test_every_byte_of_an_upload_arrives(tus: Tus, database: Database[Document]) -> None:
    """Nobody on the way takes it for text: it holds every byte there is, and is not UTF-8."""
    content = bytes(range(256)) * 1000 + noise(300_001)

    path = tus.store(content)

    assert sha256(stored(database, path)) == sha256(content)


def test_an_upload_resumes_again_and_again_at_any_offset(tus: Tus, database: Database[Document]) -> None:
    """The chunks in storage are of 1 MiB; nobody's connection breaks there."""
    content = noise(7 * MIB + 123)
    path = tus.create(len(content))

    for end in (1, 2, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 3 * MIB + 6, 5 * MIB, 7 * MIB + 122, len(content)):
        offset = tus.offset(path)
        assert tus.patch(path, offset, content[offset:end]).offset == end

    assert sha256(stored(database, path)) == sha256(content)
    assert {chunk["n"]: len(chunk["data"]) for chunk in database.videos.chunks.find({"files_id": upload_id(path)})} == {
        **dict.fromkeys(range(7), MIB),
        7: 123,
    }


def test_of_many_patches_at_once_one_writes(tus: Tus, database: Database[Document]) -> None:
    """A client that is impatient, or a person with two windows."""
    content = noise(MIB + 1)
    path = tus.create(len(content))
    answers: list[Answer] = []

    def send() -> None:
        answers.append(tus.patch(path, 0, content))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statuses = sorted(answer.status for answer in answers)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {409, 423}
    assert stored(database, path) == content


def test_another_persons_upload_is_not_there(tus: Tus, stranger: Tus) -> None:
    """Not "forbidden": even that it exists is nobody's business. It stays as it was."""
    unfinished = tus.create(len(HELLO), metadata({"filename": "secret.mp4"}))
    tus.patch(unfinished, 0, HELLO[:5])
    finished = tus.store(HELLO)
    missing = f"{UPLOADS}/{'0' * 32}"

    for path in (unfinished, finished):
        for method, headers in verbs().items():
            theirs, nobodys = (stranger.ask(method.split()[0], each, headers) for each in (path, missing))
            assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body), method
            assert theirs.status == 404, method
            assert visible(theirs) == visible(nobodys)

    assert tus.offset(unfinished) == 5
    assert tus.offset(finished) == len(HELLO)


def verbs() -> dict[str, Headers]:
    patch = {"Upload-Offset": "5", "Content-Type": BYTES}
    return {
        "HEAD": {},
        "PATCH": patch,
        "DELETE": {},
        "POST that means PATCH": {"X-HTTP-Method-Override": "PATCH", **patch},
        "POST that means HEAD": {"X-HTTP-Method-Override": "HEAD"},
        "POST that means DELETE": {"X-HTTP-Method-Override": "DELETE"},
    }


def visible(answer: Answer) -> set[str]:
    return {name.lower() for name in answer.headers}


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("authorization", [None, "Bearer nonsense"])
def test_without_a_login_there_is_nothing(tus: Tus, method: str, authorization: str | None) -> None:
    """Every request is authorised, not only the first: the address of an upload is no secret."""
    path = UPLOADS if method == "POST" else tus.create(11)
    headers = {"Authorization": authorization, "Upload-Offset": "0", "Upload-Length": "11", "Content-Type": BYTES}

    answer = tus.ask(method, path, headers, HELLO if method in {"POST", "PATCH"} else b"")

    assert answer.status == 401
    if method != "POST":
        assert tus.offset(path) == 0
