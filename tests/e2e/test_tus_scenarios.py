"""What happens to uploads on real connections, which break, and to bodies longer than a function can take."""

import random
import re
from collections.abc import Iterator
from functools import partial

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.tus import (
    BYTES,
    MAX_UPLOAD_BYTES,
    MIB,
    UPLOADS,
    Answer,
    Headers,
    Tus,
    checksum,
    noise,
    sha256,
    stored,
    until,
    upload_id,
)

HELLO = b"hello world"


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


def test_a_long_post_may_mean_patch(tus: Tus) -> None:
    """X-HTTP-Method-Override: also when the body is too long for one call of a function."""
    content = noise(9_000_001)
    path = tus.create(len(content))
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0", "Content-Type": BYTES}

    answer = tus.ask("POST", path, headers, content)

    assert (answer.status, answer.offset) == (204, len(content))


def test_a_method_that_tus_does_not_have_is_refused(tus: Tus) -> None:
    """Requests: and the answer names those that there are (RFC 9110, section 15.5.6)."""
    answer = tus.ask("PUT", tus.create(100))

    assert answer.status == 405
    assert {"HEAD", "PATCH", "DELETE"} <= set(re.split(r",\s*", answer.header("Allow") or ""))


def test_many_bytes_may_come_with_the_creation(tus: Tus, database: Database[Document]) -> None:
    """Creation With Upload: more than one call of a function can carry."""
    content = noise(9_000_001)

    answer = tus.ask("POST", UPLOADS, {"Upload-Length": str(len(content)), "Content-Type": BYTES}, content)

    assert (answer.status, answer.offset) == (201, len(content))
    assert sha256(stored(database, tus.path_of(answer))) == sha256(content)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_many_bytes_with_another_checksum_are_discarded_too(
    tus: Tus, database: Database[Document], algorithm: str
) -> None:
    """Checksum: it is about the whole body, which may be known only many calls of a function later."""
    content = noise(9 * MIB + 17)
    path = tus.create(len(content) + 4)
    tus.patch(path, 0, HELLO[:4])

    wrong = tus.patch(path, 4, content, checksum(algorithm, content[:-1]))
    assert wrong.status == 460
    assert tus.offset(path) == 4
    right = tus.patch(path, 4, content, checksum(algorithm, content))

    assert (right.status, right.offset) == (204, len(content) + 4)
    assert sha256(stored(database, path)) == sha256(HELLO[:4] + content)


@pytest.mark.parametrize("lengths", [["5", "5"], ["5", "6"]])
def test_a_length_that_is_sent_twice_is_refused(tus: Tus, lengths: list[str]) -> None:
    """Upload-Length: two readers must not understand two things."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": lengths})

    assert answer.status == 400
    assert answer.header("Location") is None


def test_an_offset_that_is_sent_twice_is_refused(tus: Tus) -> None:
    """Upload-Offset: the same, even if it says the same twice."""
    path = tus.create(len(HELLO))

    assert tus.patch(path, 0, HELLO, {"Upload-Offset": ["0", "0"]}).status == 400
    assert tus.offset(path) == 0
