"""What happens to uploads on real connections, which break, and between people, who are not all friends."""

import random
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.e2e.conftest import MAX_UPLOAD_BYTES
from tests.e2e.tus import (
    BYTES,
    MIB,
    UPLOADS,
    Answer,
    Headers,
    Tus,
    checksum,
    metadata,
    noise,
    sha256,
    stored,
    until,
    upload_id,
)
from tests.media import Media
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
    assert last.header("Content-Location") == f"/v1/conversions/{upload_id(path)}"
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


@pytest.mark.parametrize("sent", [5, 100_003, MIB + 7, 6 * MIB + 11])
@pytest.mark.parametrize("how", ["reset", "hang_up"])
def test_what_came_before_a_connection_broke_is_kept(
    tus: Tus, database: Database[Document], how: str, sent: int
) -> None:
    """PATCH: the server SHOULD always store as much of the received data as possible. HEAD tells how much."""
    content = noise(8 * MIB + 3)
    path = tus.create(len(content))

    with tus.begin_patch(path, 0, len(content)) as sending:
        sending.send(content[:sent])
        if how == "reset":
            # It takes with it what the server has not read yet.
            sending.wait_until_read()
        getattr(sending, how)()

    until(lambda: tus.offset(path) == sent)
    assert until(lambda: resumed(tus, path, sent, content)).offset == len(content)
    assert sha256(stored(database, path)) == sha256(content)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_head_tells_the_truth(tus: Tus, database: Database[Document], seed: int) -> None:
    """Bytes come in any sizes and ways, some requests are wrong and some break; what is there is what was sent."""
    chance = random.Random(seed)
    content = noise(20 * MIB + chance.randrange(MIB), seed)
    path = tus.create(None)
    offset = 0
    while offset < len(content):
        size = chance.choice([1, chance.randrange(1, 3000), chance.randrange(MIB, 6 * MIB)])
        end = min(offset + size, len(content))
        least = send_somehow(tus, path, offset, content[offset:end], chance)
        # A request that broke may be at work still. Once another has got through, it is too late for it.
        offset = until(partial(send_one_byte, tus, path, content))
        assert least <= offset <= end + 1
    tus.patch(path, offset, b"", {"Upload-Length": str(len(content))})

    assert sha256(stored(database, path)) == sha256(content)


def send_somehow(tus: Tus, path: str, offset: int, piece: bytes, chance: random.Random) -> int:
    """Return how far the upload is then at least."""
    what = chance.choice(["plain", "chunked", "checked", "changed", "elsewhere", "broken", "broken and checked"])
    if what == "elsewhere":
        assert tus.patch(path, chance.choice([offset + 1, offset + MIB]), b"x").status == 409
    elif what == "changed":
        changed = piece[:-1] + bytes([piece[-1] ^ 1])
        assert tus.patch(path, offset, changed, checksum("sha1", piece)).status == 460
    elif what.startswith("broken"):
        checked = checksum("md5", piece) if "checked" in what else {}
        with tus.begin_patch(path, offset, len(piece) + 1, checked) as sending:
            sending.send(piece)
            chance.choice([sending.reset, sending.hang_up])()
    else:
        body = pieces(piece, 50_001) if what == "chunked" else piece
        checked = checksum("sha256", piece) if what == "checked" else {}
        assert tus.patch(path, offset, body, checked).offset == offset + len(piece)
        return offset + len(piece)
    return offset


def send_one_byte(tus: Tus, path: str, content: bytes) -> int | None:
    """Return the new offset, if no other request is at work."""
    offset = tus.offset(path)
    if offset == len(content):
        return offset
    answer = tus.patch(path, offset, content[offset : offset + 1])
    return answer.offset if answer.status == 204 else None


def test_a_broken_connection_does_not_prove_a_checksum(tus: Tus, database: Database[Document]) -> None:
    """Checksum: it is of the whole body, so without the rest nothing of it can be taken."""
    content = noise(8 * MIB + 3)
    path = tus.create(len(content))

    with tus.begin_patch(path, 0, len(content), checksum("sha256", content)) as sending:
        sending.send(content[: 5 * MIB])
        sending.wait_until_read()
        sending.reset()

    answer = until(lambda: resumed(tus, path, 0, content, checksum("sha256", content)))
    assert answer.offset == len(content)
    assert sha256(stored(database, path)) == sha256(content)


def test_an_answer_that_is_lost_does_no_harm(tus: Tus, database: Database[Document]) -> None:
    """The client does not know that the server has it all; HEAD says so, and there is one conversion."""
    content = noise(2 * MIB)
    path = tus.create(len(content))

    with tus.begin_patch(path, 0, len(content)) as sending:
        sending.send(content)
        sending.wait_until_read()
        sending.reset()

    until(lambda: tus.offset(path) == len(content))
    again = tus.patch(path, 0, content)
    assert (again.status, again.offset) == (409, len(content))
    assert stored(database, path) == content
    assert [each.id for each in tus.person.conversions()].count(upload_id(path)) == 1


def test_two_patches_at_once_are_one_patch(tus: Tus, database: Database[Document]) -> None:
    """One gets 204 and the other 423: two writers to the same place would mix their bytes."""
    content = noise(9 * MIB + 1)
    path = tus.create(len(content))

    with tus.begin_patch(path, 0, len(content)) as slow:
        slow.send(content[: 5 * MIB])
        offset = until(lambda: tus.offset(path))
        second = tus.patch(path, offset, content[offset:])
        short = tus.patch(path, offset, b"other")
        assert 0 < tus.offset(path) <= 5 * MIB
        slow.send(content[5 * MIB :])
        first = slow.answer()

    assert (second.status, second.code) == (423, "upload-locked")
    assert short.status == 423
    assert (first.status, first.offset) == (204, len(content))
    assert sha256(stored(database, path)) == sha256(content)


def test_of_many_patches_at_once_one_writes(tus: Tus, database: Database[Document]) -> None:
    """A client that is impatient, or a person with two windows."""
    content = noise(MIB + 1)
    path = tus.create(len(content))
    answers: list[Answer] = []

    def send() -> None:
        answers.append(tus.patch(path, 0, content))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statuses = sorted(answer.status for answer in answers)
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {409, 423}
    assert stored(database, path) == content


def test_an_upload_can_be_terminated_while_its_bytes_come(tus: Tus, database: Database[Document]) -> None:
    """The person presses cancel. Whichever request wins, nothing is left in the end."""
    content = noise(9 * MIB)
    path = tus.create(len(content))

    with tus.begin_patch(path, 0, len(content)) as sending:
        sending.send(content[: 5 * MIB])
        until(lambda: tus.offset(path))
        first = tus.ask("DELETE", path)
        assert first.status in {204, 423}
        sending.reset()

    until(lambda: first.status == 204 or tus.ask("DELETE", path).status == 204)
    assert tus.head(path).status in {404, 410}
    until(lambda: not database.videos.chunks.count_documents({"files_id": upload_id(path)}))


def test_a_long_body_without_a_length_arrives_whole(tus: Tus, database: Database[Document]) -> None:
    """In the chunked transfer encoding, cut as no slice of ours is."""
    content = noise(20 * MIB + 1)
    path = tus.create(len(content))

    answer = tus.patch(path, 0, pieces(content, 300_007))

    assert (answer.status, answer.offset) == (204, len(content))
    assert sha256(stored(database, path)) == sha256(content)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(tus: Tus, method: str) -> None:
    """Twenty gigabytes for nothing is a day on some connections."""
    headers = {"Content-Type": BYTES, "Content-Length": str(MAX_UPLOAD_BYTES + 1), "Expect": "100-continue"}
    if method == "PATCH":
        path = tus.create(None)
        headers["Upload-Offset"] = "0"
    else:
        path = UPLOADS
        headers["Upload-Defer-Length"] = "1"

    with tus.begin(method, path, headers) as sending:
        answer = sending.answer()

    assert (answer.status, answer.code) == (413, "too-large")


def test_a_body_longer_than_the_upload_is_refused_before_it_is_sent(tus: Tus) -> None:
    """PATCH: Upload-Length and Content-Length are known at once."""
    path = tus.create(5 * MIB)

    with tus.begin_patch(path, 0, 6 * MIB) as sending:
        answer = sending.answer()

    assert (answer.status, answer.code) == (413, "too-large")
    assert tus.offset(path) == 0


def test_a_body_that_grows_too_large_is_cut_off(tus: Tus) -> None:
    """Nobody announced how long it will be: neither the upload nor the request has a length."""
    path = tus.create(None)
    piece = noise(MIB)

    answer = tus.patch(path, 0, (piece for _ in range(MAX_UPLOAD_BYTES // MIB + 2)))

    assert answer.status == 413
    assert tus.offset(path) <= MAX_UPLOAD_BYTES
    assert tus.ask("DELETE", path).status == 204


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
@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic YTpi"])
def test_without_a_login_there_is_nothing(tus: Tus, method: str, authorization: str | None) -> None:
    """Every request is authorised, not only the first: the address of an upload is no secret."""
    path = UPLOADS if method == "POST" else tus.create(11)
    headers = {"Authorization": authorization, "Upload-Offset": "0", "Upload-Length": "11", "Content-Type": BYTES}

    answer = tus.ask(method, path, headers, HELLO if method in {"POST", "PATCH"} else b"")

    assert answer.status == 401
    if method != "POST":
        assert tus.offset(path) == 0


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../conversions", "%2e%2e%2fconversions", "..%2f..%2fetc%2fpasswd", "%00", "%0d%0aa:b", "a%00b"),
        *("%", "%zz", "%ff", "%c3%28", "{}", "$ne", "%7B%22$gt%22:%22%22%7D", "a" * 3000, "x-y", "0", "%20", "*"),
        "0" * 31,
        "0" * 33,
        "g" * 32,
    ],
)
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_an_id_that_is_none_is_a_404(tus: Tus, method: str, name: str) -> None:
    """Whatever stands in the place of an id is looked up, not interpreted."""
    headers = {"Upload-Offset": "0", "Content-Type": BYTES} if method == "PATCH" else {}

    answer = tus.ask(method, f"{UPLOADS}/{name}", headers, HELLO if method == "PATCH" else b"")

    assert answer.status == 404


def test_what_only_the_gateway_may_say_a_client_cannot_say(tus: Tus, database: Database[Document]) -> None:
    """The gateway's own headers to the functions would let one write anywhere in an upload."""
    path = tus.create(len(HELLO))
    slices = {"X-Body-Slice": "token;4;11;more", "x-body-slice": "token;4;11;broken"}

    assert tus.patch(path, 0, HELLO[:4], slices).offset == 4
    assert tus.patch(path, 4, HELLO[4:], {"X-Body-Slice": "nonsense", "X-Stored-Upload": "x"}).offset == 11

    assert stored(database, path) == HELLO


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def resumed(tus: Tus, path: str, offset: int, content: bytes, headers: Headers | None = None) -> Answer | None:
    """Send the rest, unless the broken request is still at it."""
    answer = tus.patch(path, offset, content[offset:], headers)
    return None if answer.status == 423 else answer
